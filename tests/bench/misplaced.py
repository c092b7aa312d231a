"""Short jobs that arrive while one of two nodes renders a long one that looks like a short one.

Value: the longest time a job was held by the busy node while the other one had nothing to do.
Floor: the 2 s that a misplaced job may wait. Beside it a plain Celery worker a node, which takes
more tasks than it can run, as it does by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from infra.local.nodes import Node
from infra.local.stack import LocalStack, Options
from producer.client import Producer
from producer.store.connection import connect
from producer.store.events import EventStream
from tests.bench.results import Case, Result
from tests.graphs import journal, sleeping
from tests.polling import wait_until

ROUNDS = 3
SHORT_S, LONG_S, BURST, TRICKLE = 0.3, 10.0, 6, 10
ALLOWED_S = 2.0


def run(*, full: bool = False) -> Result:
    """Measure bursts and trickles of short jobs beside a long one."""
    rounds = 4 * ROUNDS if full else ROUNDS
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder,
        LocalStack(Options(state_dir=Path(folder, "fleet"), standin_nodes=2)) as stack,
        Producer.from_env(**stack.settings) as fleet,
    ):
        worst, handed_back = 0.0, 0
        for _ in range(rounds):
            longest_s, requeued = _round(fleet, stack)
            worst, handed_back = max(worst, longest_s), handed_back + requeued
        plain_s = _plainly(fleet.settings.redis_url, stack)
    return Result(
        name="misplaced",
        unit="s",
        cases=[
            Case(
                name=f"held by a busy node while another is idle, longest of {rounds} rounds",
                value=worst,
                floor=ALLOWED_S,
                plain=plain_s,
                goal="<= 2 s",
                holds=worst <= ALLOWED_S,
            )
        ],
        figures={"handed_back": handed_back},
    )


def _round(fleet: Producer, stack: LocalStack) -> tuple[float, int]:
    """Return the longest misplaced wait of a round in seconds, and how many were handed back."""
    graph = sleeping(SHORT_S, nonce=0)
    with connect(fleet.settings) as redis:
        stream = EventStream(redis)
        after = stream.end()
        known = [_submit(fleet, graph, SHORT_S) for _ in range(BURST)]
        for job in known:  # so that both nodes know how long the template takes, as they think
            fleet.wait(job, timeout=timedelta(seconds=60))
        jobs = [_submit(fleet, graph, LONG_S)]
        jobs += [_submit(fleet, graph, SHORT_S) for _ in range(BURST)]
        for _ in range(TRICKLE):
            time.sleep(0.6)  # the rate at which they come
            jobs.append(_submit(fleet, graph, SHORT_S))
        for job in jobs:
            fleet.wait(job, timeout=timedelta(seconds=60))
        events = stream.read(after, wait=timedelta(milliseconds=1))
        while events and (more := stream.read(events[-1].id, wait=timedelta(milliseconds=1))):
            events += more
    runs = {node.name: _runs(node) for node in stack.nodes}
    held = list(_held(events))
    return (
        max((_while_idle(runs, *one) for one in held), default=0.0),
        sum(event.type == "requeued" for event in events),
    )


def _submit(fleet: Producer, graph: dict, seconds: float) -> str:
    nonce = uuid.uuid4().int % 2**31
    return fleet.submit(graph, params={"2.seconds": seconds, "2.nonce": nonce}).id


def _held(events) -> Iterator[tuple[str, float, float]]:
    """Yield node, begin and end of every wait between a claim and the render."""
    since: dict[str, tuple[str, float]] = {}
    for event in events:
        at = event.at.timestamp()
        if event.type == "claimed":
            since[event.job] = (event.node, at)
        elif event.job in since and (event.phase == "rendering" or event.type == "requeued"):
            node, began = since.pop(event.job)
            yield node, began, at


def _runs(node: Node) -> list[tuple[float, float]]:
    return [(note["started_ms"] / 1000, note["ended_ms"] / 1000) for note in journal(node)]


def _while_idle(runs: dict, node: str, began: float, ended: float) -> float:
    """Return the longest stretch of a wait at *node* during which another node did nothing."""
    longest = 0.0
    for other, intervals in runs.items():
        if other == node:
            continue
        idle_since = began
        for start, end in [*sorted(intervals), (ended, ended)]:
            longest = max(longest, min(start, ended) - idle_since)
            idle_since = max(idle_since, end)
    return longest


def _plainly(redis_url: str, stack: LocalStack) -> float:
    """Return the same of a plain Celery worker a node, in one round."""
    broker = redis_url.rpartition("/")[0] + "/1"
    os.environ["PLAIN_BROKER_URL"] = broker
    from tests.bench.plain_celery import app  # noqa: PLC0415 - it reads the address at import

    before = {node.name: len(journal(node)) for node in stack.nodes}
    with ExitStack() as workers:
        for node in stack.nodes:
            workers.enter_context(_plain_worker(node, broker))
        wait_until(
            lambda: len(app.control.ping(timeout=1) or []) == len(stack.nodes),
            description="both plain workers are up",
            within_s=60,
        )
        sent = {}
        for seconds in [LONG_S] + [SHORT_S] * (BURST + TRICKLE):
            prompt_id = str(uuid.uuid4())
            app.send_task(
                "plain.render_here",
                args=(sleeping(seconds, nonce=uuid.uuid4().int % 2**24), prompt_id),
            )
            sent[prompt_id] = time.time()
        runs: dict[str, list[dict]] = {}

        def all_ran() -> bool:
            runs.update({n.name: journal(n)[before[n.name] :] for n in stack.nodes})
            return sum(bool(r["ended_ms"]) for rs in runs.values() for r in rs) == len(sent)

        wait_until(all_ran, description="all were rendered", within_s=120)
    intervals = {
        name: [(run["started_ms"] / 1000, run["ended_ms"] / 1000) for run in notes]
        for name, notes in runs.items()
    }
    return max(
        _while_idle(intervals, name, sent[run["prompt_id"]], run["started_ms"] / 1000)
        for name, notes in runs.items()
        for run in notes
    )


@contextmanager
def _plain_worker(node: Node, broker: str) -> Iterator[None]:
    command = ("celery", "-A", "tests.bench.plain_celery", "worker", "-c", "1", "-l", "ERROR")
    with subprocess.Popen(
        [sys.executable, "-m", *command, "-n", f"plain-{node.name}@here"],
        env={**os.environ, "PLAIN_BROKER_URL": broker, "PLAIN_NODE_URL": node.url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.terminate()
