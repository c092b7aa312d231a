"""Seconds of rendering over seconds of wall: 1024 x 1024 pictures, encoded by the node, to S3.

Floor: a client that keeps four prompts in the node's own queue and stores beside it, on a node
without the companion. Beside it a plain loop: post, wait on the socket, fetch, store, next.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.bench.card_nodes import CardNodes, Run, Work, card_nodes, median_run
from tests.bench.results import Case, Result

SECONDS, PICTURES, STORE_MS = (0.25, 0.5, 0.8, 3.0), (1, 4), (0, 150)
#: `SECONDS:PICTURES:STORE_MS` of what is run where nobody asks for more.
CASES = ("0.5:1:150", "0.25:4:0")
JOBS, FULL_JOBS = (24,), (24, 60)
#: A plain loop is slow, and needs no precision.
PLAIN_JOBS = 8
GAP_MS = 2.0
#: Of a rate: what two runs of the same differ by.
NOISE = 0.01

#: Seconds and pictures → what share of the wall is rendering, with the companion.
BUSY = {(3.0, 1): 0.97, (3.0, 4): 0.97, (0.5, 1): 0.95}
#: Seconds and pictures → how many times the floor, with the companion.
TIMES = {(0.5, 4): 1.5}

_LENT = ", with the companion"


class _Asked(NamedTuple):
    work: Work
    store_ms: int
    jobs: int

    def __str__(self) -> str:
        pictures = "1 picture" if self.work.pictures == 1 else f"{self.work.pictures} pictures"
        return f"{self.jobs} x {self.work.seconds:g} s, {pictures}, {self.store_ms} ms to the store"


def run(
    *,
    full: bool = False,
    comfyui: str | None = None,
    cases: Sequence[str] = (),
    jobs: int | None = None,
    rounds: int = 1,
) -> Result:
    """Measure the client, the fleet and the plain loop in turns.

    Args:
        comfyui: the address of a real ComfyUI that has tests/contract/custom_nodes; two with a
            comma between, of which one has the companion.
        cases: `SECONDS:PICTURES:STORE_MS` each; by default a few, with *full* all.
        jobs: in a run; by default 24, with *full* 24 and 60.
        rounds: how often client and fleet run in turns; shown and compared is the median run.
    """
    everything = [f"{s}:{p}:{ms}" for ms in STORE_MS for s in SECONDS for p in PICTURES]
    asked = sorted(
        (
            _Asked(Work(float(s), int(p)), int(ms), many)
            for s, p, ms in (one.split(":") for one in cases or (everything if full else CASES))
            for many in ((jobs,) if jobs else FULL_JOBS if full else JOBS)
        ),
        key=lambda one: one.store_ms,
    )
    measured: list[Case] = []
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder,
        card_nodes(Path(folder), comfyui=comfyui) as nodes,
    ):
        for store_ms in dict.fromkeys(one.store_ms for one in asked):
            with nodes.workers(store_ms / 1000) as s3_url:
                for one in asked:
                    if one.store_ms == store_ms:
                        measured.extend(_measured(nodes, one, s3_url, rounds))
    return Result(name="card_busy", unit="jobs/s", cases=measured, figures=_figures(measured))


class _Beside(NamedTuple):
    """What a run of ours is held against, and how its jobs were handed in."""

    asked: _Asked
    graphs: str
    floor: Run
    plain: Run

    def case(
        self, ours: Run, how: str, *, least: float, busy: float = 0.0, gap_ms: float | None = None
    ) -> Case:
        shown = (
            f"busy {100 * ours.busy:.1f} % (client {100 * self.floor.busy:.1f} %, plain loop"
            f" {100 * self.plain.busy:.1f} %), gap p50 {ours.gap_ms:g} ms"
            f" (client {self.floor.gap_ms:g} ms)"
        )
        goals = [f">= {least:.2f} x floor"]
        if busy:
            goals.append(f"busy >= {busy:g}")
        if gap_ms is not None:
            goals.append(f"gap p50 <= {gap_ms:g} ms")
        return Case(
            name=f"{self.asked}, {self.graphs}{how}: {shown}",
            value=ours.rate,
            floor=self.floor.rate,
            plain=self.plain.rate,
            goal=", ".join(goals),
            holds=ours.rate >= (least - NOISE) * self.floor.rate
            and ours.busy >= busy
            and (gap_ms is None or ours.gap_ms <= gap_ms),
        )


def _measured(nodes: CardNodes, asked: _Asked, s3_url: str, rounds: int) -> Iterator[Case]:
    at = nodes.bare or nodes.companion
    assert at is not None
    work, jobs = asked.work, asked.jobs
    plain = at.one_by_one(work, PLAIN_JOBS, s3_url)
    for whole in (True, False):
        turns: dict[str, list[Run]] = defaultdict(list)
        for turn in range(rounds):
            each: dict[str, Callable[[], Run]] = {
                "client": partial(at.through_its_queue, work, jobs, s3_url)
            }
            for name, node in (("bare", nodes.bare), ("companion", nodes.companion)):
                if node:
                    each[name] = partial(node.through_the_fleet, work, jobs, whole=whole)
            # Who comes second meets a machine that has slowed down: each comes first as often.
            for name in each if turn % 2 == 0 else reversed(each):
                turns[name].append(each[name]())
        floor = median_run(turns["client"])
        beside = _Beside(asked, "whole graphs" if whole else "params", floor, plain)
        least = 1.0
        if turns["bare"]:
            ours = median_run(turns["bare"])
            yield beside.case(ours, "", least=least, gap_ms=GAP_MS)
            least = max(least, ours.rate / floor.rate)  # the companion makes no case slower
        if turns["companion"]:
            ours = median_run(turns["companion"])
            key = work.seconds, work.pictures
            yield beside.case(
                ours, _LENT, least=max(least, TIMES.get(key, 0)), busy=BUSY.get(key, 0)
            )


def _figures(cases: Sequence[Case]) -> dict[str, float]:
    lent = [case.ratio for case in cases if _LENT in case.name]
    bare = [case.ratio for case in cases if _LENT not in case.name]
    return {
        **({"least_ratio": min(bare)} if bare else {}),
        **({"least_ratio_with_companion": min(lent)} if lent else {}),
    }
