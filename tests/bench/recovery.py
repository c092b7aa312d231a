"""From `kill -9` of a worker in the middle of a render to the job being looked after again.

With a supervisor that starts the worker again: until the new one waits for the running prompt.
Floor: the supervisor's pause, and a process with the worker's imports that does nothing. Without:
until another node renders. Floor: the lease and two sweeps.

Beside it plain Celery with late acks and a visibility timeout of 5 s; see `plain_recovery`.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event

from infra.local.background import BackgroundSupervisor
from infra.local.nodes import Node, probe_worker
from infra.local.stack import LocalStack, Options
from infra.local.supervisor import NotReady, Supervisor
from producer.client import Producer
from producer.contract.jobs import Job, JobStatus, Phase
from producer.store.connection import connect
from producer.store.events import EventStream
from tests import servers
from tests.bench.plain_recovery import Recovered, until_posted_again, until_posted_elsewhere
from tests.bench.results import Case, Result
from tests.graphs import journal, sleeping
from tests.polling import wait_until

NODES, ROUNDS = 4, 4
LEASE_S, RENEW_S, SWEEP_S = 5.0, 1.5, 0.5
GOAL_S, GOAL_RATIO = 5.0, 1.15

#: infra.local.supervisor's pause before a first restart; systemd units have one of their own.
_PAUSE_S = 0.25
_RENDER_S = 12.0


def run() -> Result:
    """Kill workers of one fleet in turns, while plain ones wait on nodes of their own."""
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-bench-") as folder,
        _settings(),
        LocalStack(Options(state_dir=Path(folder, "fleet"), standin_nodes=NODES)) as stack,
        Producer.from_env(**stack.settings) as fleet,
        BackgroundSupervisor(Supervisor(_made(Path(folder, "plain")))) as services,
        ThreadPoolExecutor(2) as beside,
    ):
        again, elsewhere = _start_plain(services, Path(folder), beside, stack)
        floor = statistics.median(_bare_start() for _ in range(3))
        reattached, repeated = _with_restart(stack, fleet)
        taken_over = _without_restart(stack, fleet)
        return Result(
            name="recovery",
            unit="s",
            cases=[
                *_cases(
                    "kill -9, restarted: waiting again",
                    reattached,
                    floor=_PAUSE_S + floor,
                    plain=again.result().seconds,
                    goal=f"<= {GOAL_S:g} s, no render repeated",
                    holds=max(reattached) <= GOAL_S and not repeated,
                ),
                *_cases(
                    "kill -9, not restarted: running elsewhere",
                    taken_over,
                    floor=LEASE_S + 2 * SWEEP_S,
                    plain=elsewhere.result().seconds,
                    goal=f"<= {GOAL_RATIO:g} x (lease + 2 sweeps)",
                    holds=max(taken_over) <= GOAL_RATIO * (LEASE_S + 2 * SWEEP_S),
                ),
            ],
            figures={
                "reattach_s": max(reattached),
                "renders_repeated": repeated,
                "elsewhere_s": max(taken_over),
                "elsewhere_ratio": max(taken_over) / (LEASE_S + 2 * SWEEP_S),
                "plain_renders_repeated": again.result().renders_repeated,
                "lease_s": LEASE_S,
                "sweep_s": SWEEP_S,
                "kills": len(reattached) + len(taken_over),
            },
        )


def _cases(name, samples, *, floor, plain, goal, holds) -> list[Case]:
    return [
        Case(name=f"{name}, {which}", value=value, floor=floor, plain=plain, goal=goal, holds=holds)
        for which, value in (("median", statistics.median(samples)), ("worst", max(samples)))
    ]


def _with_restart(stack: LocalStack, fleet: Producer) -> tuple[list[float], int]:
    """Return the seconds of each round until re-attached, and how many renders were repeated."""
    seconds, jobs = [], []
    for number, node in enumerate(stack.nodes):
        job = _rendering(fleet, stack, sleeping(_RENDER_S, nonce=number), pin=node.name)
        jobs.append(job)
        seconds.append(_until_reattached(stack, fleet, job, node))
    for job in jobs:
        ended = fleet.wait(job.id, timeout=timedelta(seconds=60))
        assert (ended.status, ended.attempt) == (JobStatus.SUCCEEDED, 1), ended
    return seconds, sum(len(_runs(stack, job)) - 1 for job in jobs)


def _until_reattached(stack: LocalStack, fleet: Producer, job: Job, node: Node) -> float:
    with connect(fleet.settings) as redis:
        events = EventStream(redis)
        after, is_back = events.end(), False
        killed = time.time()
        os.kill(stack.pid(f"worker-{node.name}"), signal.SIGKILL)
        while time.time() - killed < 60:
            for event in events.read(after, wait=timedelta(seconds=1)):
                after = event.id
                if event.job == job.id:
                    is_back |= event.type == "taken_back"
                    if is_back and event.phase is Phase.RENDERING:
                        return event.at.timestamp() - killed
    raise AssertionError(f"job {job.id} was not taken back")


def _without_restart(stack: LocalStack, fleet: Producer) -> list[float]:
    """Return the seconds of each round until another node runs the job."""
    seconds = []
    for number in range(ROUNDS):
        _wait_ready(stack)
        job = _rendering(fleet, stack, sleeping(60, nonce=1_000 + number))
        victim = stack.pid(f"worker-{fleet.get(job.id).node}")
        with _not_restarted(victim):
            killed = time.time()
            os.kill(victim, signal.SIGKILL)
            wait_until(
                lambda job=job: len(_runs(stack, job)) > 1,
                description="it runs elsewhere",
                within_s=60,
            )
        seconds.append(max(run["started_ms"] for run in _runs(stack, job)) / 1000 - killed)
        fleet.cancel(job.id)
        wait_until(lambda job=job: fleet.get(job.id).done, description="it is cancelled")
    return seconds


@contextmanager
def _not_restarted(pid: int) -> Iterator[None]:
    """Freeze the orphan guard of a process, so that its supervisor does not hear of its end."""
    guard = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(guard, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(guard, signal.SIGCONT)


def _rendering(fleet: Producer, stack: LocalStack, graph: dict, **options) -> Job:
    job = fleet.submit(graph, **options)
    wait_until(lambda: _runs(stack, job), description="it renders")
    return job


def _runs(stack: LocalStack, job: Job) -> list[dict]:
    """Return the executions of a job on all nodes, as their journals tell."""
    return [run for node in stack.nodes for run in journal(node) if run["job"] == job.id]


def _wait_ready(stack: LocalStack) -> None:
    def is_ready(node: Node) -> bool:
        try:
            probe_worker(node, stack.settings)
        except NotReady:
            return False
        return True

    for node in stack.nodes:
        wait_until(lambda node=node: is_ready(node), description=f"{node} ready", within_s=60)


def _start_plain(
    services: BackgroundSupervisor, folder: Path, beside: ThreadPoolExecutor, stack: LocalStack
) -> tuple[Future[Recovered], Future[Recovered]]:
    one, two, three = (
        servers.start_standin(services, folder / f"plain-{number}") for number in range(3)
    )
    server = stack.settings["redis_url"].rpartition("/")[0]
    first, second = Event(), Event()
    running = (
        beside.submit(until_posted_again, f"{server}/1", one, first),
        beside.submit(until_posted_elsewhere, f"{server}/2", (two, three), second),
    )
    for killed in (first, second):  # their start-up must not slow ours
        assert killed.wait(60)
    return running


def _bare_start() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-P", "-c", "import worker.tasks"], check=True)
    return time.monotonic() - began


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@contextmanager
def _settings() -> Iterator[None]:
    settings = {
        "COMFYFLEET_LEASE_S": str(LEASE_S),
        "COMFYFLEET_RENEW_S": str(RENEW_S),
        "COMFYFLEET_SWEEP_S": str(SWEEP_S),
    }
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings:
            del os.environ[name]
