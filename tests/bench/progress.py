"""What is shown of a render's progress against the part of its time that has passed, from its second run on.

A graph with a sampler, as a backend hands it in: whole, with a seed of its own. Beside it, from the same events: each
graph node counted alike, which is all that ComfyUI says.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from infra.local.stack import LocalStack, Options
from producer.client import Producer
from producer.contract.jobs import Progress
from tests.bench.checkpoints import checkpoints
from tests.bench.history_tail import HistoryTail
from tests.bench.results import Case, Result
from tests.graphs import fresh_nonce, journal, rendering

RUNS, FULL_RUNS = 4, 10
STEPS, REAL_STEPS = 40, 20
#: What a stand-in does after its sampler, which takes no time there, s.
_AFTER_S = 0.7
GOAL_POINTS = 10.0
_PATIENCE = timedelta(minutes=20)


@dataclass(frozen=True)
class Shown:
    """One thing that was shown of one render.

    Args:
        passed: the part of its time that had passed, 0 to 1.
        ours: what was shown then, likewise.
        alike: what counting graph nodes alike would have shown.
    """

    passed: float
    ours: float
    alike: float


def run(*, full: bool = False, comfyui: str | None = None) -> Result:
    """Measure a few renders of one shape.

    Args:
        comfyui: the address of a real ComfyUI that has a checkpoint; the smallest one is used.
    """
    runs = FULL_RUNS if full else RUNS
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder,
        _watched(Path(folder), comfyui) as fleet,
    ):
        renders = [fleet.shown() for _ in range(runs)][1:]
    steps = REAL_STEPS if comfyui else STEPS
    return Result(name="progress", unit="points", cases=[case_of(steps, renders)])


def case_of(steps: int, renders: Sequence[Sequence[Shown]]) -> Case:
    """Return how far off the worst of *renders* was; those are the second run of a shape and later ones."""
    each = [_points((one.ours, one.passed) for one in shown) for shown in renders]
    is_forward = all(
        before.ours <= after.ours
        for shown in renders
        for before, after in itertools.pairwise(shown)
    )
    told = "/".join(f"{points:.1f}" for points in each)
    return Case(
        name=f"KSampler of {steps} steps, runs 2 to {1 + len(renders)}: {told} points"
        + ("" if is_forward else ", and backwards"),
        value=max(each),
        floor=GOAL_POINTS,
        plain=max(_points((one.alike, one.passed) for one in shown) for shown in renders),
        goal=f"<= {GOAL_POINTS:g} points, never backwards",
        holds=max(each) <= GOAL_POINTS and is_forward,
    )


def _points(pairs: Iterator[tuple[float, float]]) -> float:
    return max(100 * abs(shown - passed) for shown, passed in pairs)


@contextmanager
def _watched(folder: Path, comfyui: str | None) -> Iterator[_Watched]:
    urls = (comfyui,) if comfyui else ()
    with (
        LocalStack(Options(state_dir=folder, standin_nodes=1, comfyui_urls=urls)) as stack,
        Producer.from_env(**stack.settings) as fleet,
        HistoryTail(comfyui) if comfyui else nullcontext() as tail,
    ):
        yield _Watched(fleet, stack.nodes[0], tail)


class _Watched:
    """A fleet of one node, whose jobs are watched from their beginning to their end."""

    def __init__(self, fleet: Producer, node: Any, tail: HistoryTail | None) -> None:
        self._fleet, self._node, self._tail = fleet, node, tail
        self._model = checkpoints(node.url)[0]

    def shown(self) -> list[Shown]:
        """Render one and return what was shown of it while it ran."""
        job = self._fleet.submit(self._graph())
        seen = [
            (event.at.timestamp(), event.progress)
            for event in self._fleet.stream(job.id, timeout=_PATIENCE)
            if event.progress
        ]
        ended = self._fleet.get(job.id)
        assert ended.status == "succeeded", ended
        began, end = (ms / 1000 for ms in self._span(str(ended.prompt_id)))
        found = [
            Shown((at - began) / (end - began), _of(progress), _alike(progress))
            for at, progress in seen
            if began < at < end
        ]
        assert found, "it ended before anything was shown of it"
        return found

    def _graph(self) -> Mapping[str, Any]:
        if self._tail:
            return rendering(self._model, seed=fresh_nonce(), steps=REAL_STEPS)
        graph = rendering(self._model, seed=fresh_nonce(), steps=STEPS)
        sleep = {"image": ["8", 0], "seconds": _AFTER_S, "steps": 1, "preview": False, "nonce": 0}
        graph["10"] = {"class_type": "ComfyFleetSleep", "inputs": sleep}
        graph["9"]["inputs"]["images"] = ["10", 0]
        return graph

    def _span(self, prompt_id: str) -> tuple[int, int]:
        if self._tail:
            [span] = self._tail.spans({prompt_id})
            return span
        [note] = [note for note in journal(self._node) if note["prompt_id"] == prompt_id]
        return note["started_ms"], note["ended_ms"]


def _of(progress: Progress) -> float:
    return (progress.percent or 0.0) / 100


def _alike(progress: Progress) -> float:
    return _of(progress.model_copy(update={"share": None}))
