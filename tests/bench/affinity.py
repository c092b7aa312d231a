"""Model loads when jobs of four models come mixed, and how long a job waits because of warmth.

Floor: one load for each model and each node in use. Beside it the same product with all jobs in
one queue, first come, first served. In a last case two models keep all nodes busy and now and then
a job of another one comes; it may wait as long as the bound.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from unittest import mock

import requests

from infra.local.stack import LocalStack, Options
from producer.client import Producer
from producer.contract.jobs import Job
from producer.intake import admission
from tests.bench.results import Case, Result
from tests.graphs import journal, rendering

MODELS = tuple(f"model-{letter}.safetensors" for letter in "abcd")
STEPS, STEP_S, LOAD_S = 4, 0.05, 2.0
JOBS_A_NODE = 24
GOAL_RATIO = 1.2
BOUND_S = 10.0

_STANDIN = ("--step-seconds", str(STEP_S), "--load-seconds", str(LOAD_S))
_PATIENCE = timedelta(minutes=2)
_seeds = count(1)


@dataclass(frozen=True)
class Drained:
    """One stream of jobs, rendered to the end.

    Args:
        passed_over_s: the longest wait of a job after a later one had been started.
    """

    loads: int
    nodes: int
    jobs_s: float
    passed_over_s: float


def run() -> Result:
    """Drain mixed streams on two fleets, each in warm order and then in none; strain the bound."""
    cases, figures = [], {}
    for nodes in (2, 8):
        warm, fifo = _compared(nodes)
        floor = max(len(MODELS), warm.nodes)
        cases.append(
            Case(
                name=f"{len(MODELS)} models, {nodes} nodes",
                value=warm.loads,
                floor=floor,
                plain=fifo.loads,
                goal=f"<= {GOAL_RATIO:g} x floor",
                holds=warm.loads <= GOAL_RATIO * floor,
            )
        )
        figures |= {
            f"jobs_s_{nodes}_nodes": warm.jobs_s,
            f"jobs_s_{nodes}_nodes_fifo": fifo.jobs_s,
            f"passed_over_s_{nodes}_nodes": warm.passed_over_s,
        }
    longest = _strained()
    cases.append(
        Case(
            name=f"a rare model, bound {BOUND_S:g} s: longest passed over",
            value=longest,
            floor=BOUND_S,
            plain=None,
            goal="<= the bound",
            unit="s",
            holds=longest <= BOUND_S,
        )
    )
    return Result(name="affinity", unit="model loads", cases=cases, figures=figures)


def _compared(nodes: int) -> tuple[Drained, Drained]:
    with _fleet(nodes) as (stack, fleet):
        warm = _drained(stack, fleet, jobs=nodes * JOBS_A_NODE)
        for node in stack.nodes:
            requests.post(f"{node.url}/free", json={"unload_models": True}, timeout=5)
        # Jobs without known models all wait in one queue.
        with mock.patch.object(admission, "base_models", return_value=()):
            fifo = _drained(stack, fleet, jobs=nodes * JOBS_A_NODE)
    return warm, fifo


def _drained(stack: LocalStack, fleet: Producer, *, jobs: int) -> Drained:
    models = [model for model in MODELS for _ in range(jobs // len(MODELS))]
    random.Random(jobs).shuffle(models)
    began = time.monotonic()
    sent = [_submit(fleet, model) for model in models]
    for job in sent:
        fleet.wait(job.id, timeout=_PATIENCE)
    took_s = time.monotonic() - began
    ours = {job.id for job in sent}
    notes = [[n for n in journal(node) if n["job"] in ours] for node in stack.nodes]
    return Drained(
        loads=sum(len(note["model_loads"]) for there in notes for note in there),
        nodes=sum(bool(there) for there in notes),
        jobs_s=jobs / took_s,
        passed_over_s=_longest_passed_over(sent, _starts(stack)),
    )


def _strained() -> float:
    """Keep two nodes busy with two models; return how long a job of another is passed over."""
    with _bound(BOUND_S), _fleet(2) as (stack, fleet):
        sent = _fed(stack, fleet, until=lambda starts: len(starts) > 2 * len(stack.nodes))
        rare = []
        for model in MODELS[2:]:
            rare.append(_submit(fleet, model))
            sent += [
                rare[-1],
                *_fed(stack, fleet, until=lambda starts: rare[-1].id in starts),
            ]
        starts = _starts(stack)
        return _longest_passed_over([job for job in sent if job.id in starts], starts, among=rare)


def _fed(
    stack: LocalStack, fleet: Producer, *, until: Callable[[dict[str, float]], bool]
) -> list[Job]:
    """Submit jobs of two models, slightly faster than the nodes render; return them."""
    sent: list[Job] = []
    began = time.monotonic()
    while not until(_starts(stack)):
        assert time.monotonic() - began < 4 * BOUND_S, "passed over for ever"
        sent += [_submit(fleet, model) for model in MODELS[:2]]
        time.sleep(0.9 * STEPS * STEP_S)  # the rate at which they come
    return sent


def _longest_passed_over(
    sent: Sequence[Job], starts: dict[str, float], *, among: Sequence[Job] | None = None
) -> float:
    """Return the longest time from the start of a job that was sent later to a job's own."""
    wanted = {job.id for job in (sent if among is None else among)}
    longest, first_of_later = 0.0, float("inf")
    for job in reversed(sent):
        if job.id in wanted:
            longest = max(longest, starts[job.id] - first_of_later)
        first_of_later = min(first_of_later, starts[job.id])
    return longest


def _starts(stack: LocalStack) -> dict[str, float]:
    """Return when each job's prompt began, in Unix seconds."""
    notes = [note for node in stack.nodes for note in journal(node)]
    return {note["job"]: note["started_ms"] / 1000 for note in notes}


def _submit(fleet: Producer, model: str) -> Job:
    return fleet.submit(rendering(model, seed=next(_seeds), steps=STEPS))


@contextmanager
def _fleet(nodes: int) -> Iterator[tuple[LocalStack, Producer]]:
    with tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder:
        options = Options(
            state_dir=Path(folder),
            standin_nodes=nodes,
            standin_arguments=(*_STANDIN, "--models", ",".join(MODELS)),
        )
        with LocalStack(options) as stack, Producer.from_env(**stack.settings) as fleet:
            yield stack, fleet


@contextmanager
def _bound(seconds: float) -> Iterator[None]:
    with mock.patch.dict(os.environ, COMFYFLEET_NODE_WARM_S=str(seconds)):
        yield
