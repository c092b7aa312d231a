"""How busy one node's graphics card is kept while work waits: 1.5 MB pictures, to S3.

Once with params over one graph, and once with graphs that are handed in whole, their values inside.
Floor: the node draining the same prompts from its own queue, filled beforehand. Beside it a plain
loop: post, wait on the socket, fetch, store, next.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from tests.bench.one_node import Drained, one_node
from tests.bench.results import Case, Result

LATENCIES_S = (0.0, 0.02)
#: Seconds a render, jobs in a run of the product or the floor, jobs in the plain loop.
RUNS = ((0.25, 30, 8), (0.5, 16, 6), (3.0, 4, 2))
#: On a real ComfyUI. Every ten seconds it collects garbage for 0.3 s, so a run has to be so long
#: that a pause more or less is no per cent of it.
REAL_RUNS = ((0.5, 60, 15), (3.0, 12, 3))
FULL_RUNS = ((0.25, 200, 40), (0.5, 120, 30), (3.0, 30, 5))
GAP_MS = 1.0
_LONG_S = 3.0


def run(*, full: bool = False, comfyui: str | None = None) -> Result:
    """Measure floor, product and plain loop in turns.

    Args:
        comfyui: the address of a real ComfyUI that has tests/contract/custom_nodes.
    """
    cases: list[Case] = []
    gaps: list[float] = []
    runs = FULL_RUNS if full else REAL_RUNS if comfyui else RUNS
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder,
        one_node(Path(folder), comfyui=comfyui) as node,
    ):
        for round_trip_s in LATENCIES_S:
            with node.worker(round_trip_s) as far:
                for seconds, jobs, plain_jobs in runs:
                    floors = [node.drain_own_queue(seconds, jobs)]
                    product = node.through_the_fleet(seconds, jobs)
                    whole = node.through_the_fleet(seconds, jobs, whole=True)
                    floors.append(node.drain_own_queue(seconds, jobs))
                    plain = node.one_by_one(far, seconds, plain_jobs)
                    for what, ours in (("", product), ("whole graphs, ", whole)):
                        name = f"{what}{seconds:g} s renders, {1000 * round_trip_s:.0f} ms"
                        goal = 0.995 if seconds >= _LONG_S else 0.97 if round_trip_s else 0.98
                        cases.append(_case(name, ours, floors, plain, goal=goal))
                        gaps.append(ours.gap_ms)
    return Result(name="gpu_busy", unit="jobs/s", cases=cases, figures={"gap_p50_ms": max(gaps)})


def _case(
    name: str, product: Drained, floors: list[Drained], plain: Drained, *, goal: float
) -> Case:
    floor = statistics.mean(floor.rate for floor in floors)
    shown = f"busy {100 * product.busy:.1f} %, gap p50 {product.gap_ms:g} ms"
    return Case(
        name=f"{name} to node and store: {shown}",
        value=product.rate,
        floor=floor,
        plain=plain.rate,
        goal=f">= {goal:g} x floor, gap p50 <= {GAP_MS:g} ms",
        holds=product.rate >= goal * floor and product.gap_ms <= GAP_MS,
    )
