"""How busy one node's graphics card is kept while work waits: 1.5 MB pictures, to S3.

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
#: On a real ComfyUI, which takes half a second on a CPU to save such a picture.
REAL_RUNS = ((0.5, 10, 5), (3.0, 4, 2))
FULL_RUNS = ((0.25, 200, 40), (0.5, 120, 30), (3.0, 30, 5))
GAP_MS = 1.0
_LONG_S = 3.0


def run(*, full: bool = False, comfyui: str | None = None) -> Result:
    """Measure floor, product and plain loop in turns.

    Args:
        comfyui: the address of a real ComfyUI that has tests/contract/custom_nodes. How long it
            does nothing between two prompts cannot be seen there, so only rates are compared.
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
                    floors.append(node.drain_own_queue(seconds, jobs))
                    plain = node.one_by_one(far, seconds, plain_jobs)
                    cases.append(_case(seconds, round_trip_s, product, floors, plain))
                    gaps.append(product.gap_ms or 0.0)
    figures = {} if comfyui else {"gap_p50_ms": max(gaps)}
    return Result(name="gpu_busy", unit="jobs/s", cases=cases, figures=figures)


def _case(
    seconds: float, round_trip_s: float, product: Drained, floors: list[Drained], plain: Drained
) -> Case:
    floor = statistics.mean(floor.rate for floor in floors)
    goal = 0.995 if seconds >= _LONG_S else 0.97 if round_trip_s else 0.98
    name = f"{seconds:g} s renders, {1000 * round_trip_s:.0f} ms to node and store"
    if product.gap_ms is not None:
        name += f": busy {100 * product.busy:.1f} %, gap p50 {product.gap_ms:g} ms"
    return Case(
        name=name,
        value=product.rate,
        floor=floor,
        plain=plain.rate,
        goal=f">= {goal:g} x floor, gap p50 <= {GAP_MS:g} ms",
        holds=product.rate >= goal * floor and (product.gap_ms or 0.0) <= GAP_MS,
    )
