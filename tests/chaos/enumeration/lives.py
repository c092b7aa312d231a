"""The lives of a job that are enumerated: each passes through requests that no other does."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import redis

from tests.chaos.checker.history import TERMINAL
from tests.chaos.fleet import workload
from tests.chaos.fleet.chaos_fleet import ChaosFleet, Member
from tests.chaos.fleet.client import JournalingClient
from tests.chaos.fleet.workload import Work

#: No step of a life takes longer, whatever was cut, s.
PATIENCE_S: Final = 45.0
#: A connection that was silent for longer is checked before it is used: 10 s, and a margin.
_UNCHECKED_S: Final = 10.5


@dataclass(frozen=True)
class Lane:
    """One worker, its node, and the producer's edges: no other life uses them meanwhile."""

    fleet: ChaosFleet
    member: Member
    producer: str

    def record(self, job: str) -> dict[str, str]:
        """Return the job's record, past every fault; empty when there is none."""
        try:
            return self.fleet.redis.client.hgetall(f"comfyfleet:job:{job}")
        except redis.RedisError:
            return {}

    def wait(self, is_so: Callable[[], object], *, within_s: float = PATIENCE_S) -> bool:
        """Wait for a fact; tell whether it came in time."""
        deadline = time.monotonic() + within_s
        while not is_so():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)  # between two looks at the condition
        return True

    def wait_end(self, job: str, *, within_s: float = PATIENCE_S) -> str:
        """Wait until the job has ended; return its status, whatever it is by then."""
        self.wait(lambda: self.record(job).get("status") in TERMINAL, within_s=within_s)
        return self.record(job).get("status", "unknown")

    def wait_rendering(self, job: str) -> None:
        """Wait until the job's prompt runs, or the job has ended."""

        def is_rendering() -> bool:
            record = self.record(job)
            return record.get("phase") == "rendering" or record.get("status") in TERMINAL

        self.wait(is_rendering)

    def wait_well(self) -> bool:
        """Wait until the worker takes work again."""
        return self.wait(lambda: self.fleet.is_ready(self.member))


def _hand_in(lane: Lane, client: JournalingClient, work: Work, job: str) -> str:
    return client.submit_surely(work, key=job, job_id=job, pool=lane.member.pool)


@dataclass(frozen=True)
class Life:
    """How one job lives.

    Args:
        ends: the statuses in which it may end, whatever connection is cut.
        work: what is asked for; called with a number that makes it differ from all other work.
        prepare: what happens before a client is made for it.
        forerunner: another job that renders when this one comes.
        hand_in: how it is submitted, surely; called with lane, client, work and the id that it
            should have, returns the one that it has.
        act: what happens to it then; called with lane, client and job.
    """

    name: str
    ends: frozenset[str]
    work: Callable[[int], Work]
    act: Callable[[Lane, JournalingClient, str], None] = lambda _lane, _client, _job: None
    prepare: Callable[[Lane], None] = lambda _lane: None
    forerunner: Callable[[int], Work] | None = None
    hand_in: Callable[[Lane, JournalingClient, Work, str], str] = _hand_in


def _cancel(lane: Lane, client: JournalingClient, job: str) -> None:
    lane.wait_rendering(job)
    lane.wait(lambda: client.cancel(job) != "unknown")


def _kill_worker(lane: Lane, _client: JournalingClient, job: str) -> None:
    lane.wait_rendering(job)
    lane.member.worker.kill()


def _stop_worker(lane: Lane, _client: JournalingClient, job: str) -> None:
    lane.wait_rendering(job)
    lane.member.worker.signal(signal.SIGTERM)


def _freeze_worker(lane: Lane, _client: JournalingClient, job: str) -> None:
    lane.wait_rendering(job)
    lane.member.worker.signal(signal.SIGSTOP)
    try:
        lane.wait(
            lambda: (
                lane.record(job).get("attempt") != "1" or lane.record(job).get("status") in TERMINAL
            )
        )
    finally:
        lane.member.worker.signal(signal.SIGCONT)


def _kill_node(lane: Lane, _client: JournalingClient, job: str) -> None:
    lane.wait_rendering(job)
    lane.member.node.kill()


def _forget_connections(lane: Lane) -> None:
    # A broker at another address is a new one to a process, as each is to a new process.
    lane.fleet.open_edges(lane.producer)


def _let_rest(_lane: Lane) -> None:
    time.sleep(_UNCHECKED_S)  # the silence itself is what is wanted


def _flush_scripts(lane: Lane) -> None:
    lane.fleet.redis.client.script_flush()


def _hand_in_row(lane: Lane, client: JournalingClient, work: Work, job: str) -> str:
    return client.submit_rows_surely([work], key=job, pool=lane.member.pool)[0]


def _sleep(seconds: float) -> Callable[[int], Work]:
    return lambda nonce: workload.sleep(seconds, nonce=nonce)


def _sample(model: str) -> Callable[[int], Work]:
    return lambda nonce: workload.sample(seed=nonce, model=model)


LIVES: Final = (
    Life("plain", frozenset({"succeeded"}), _sleep(0.7)),
    Life("reading", frozenset({"succeeded"}), lambda nonce: workload.read(0.1, nonce=nonce)),
    Life("failing", frozenset({"failed"}), lambda nonce: workload.fail(nonce=nonce)),
    Life("cancelled", frozenset({"cancelled"}), _sleep(4), _cancel),
    Life("returning", frozenset({"succeeded"}), _sleep(2.5), _kill_worker),
    Life("left", frozenset({"succeeded"}), _sleep(2.5), _stop_worker),
    Life("overtaken", frozenset({"succeeded"}), _sleep(1.5), _freeze_worker),
    Life("forgotten", frozenset({"succeeded"}), _sleep(1.5), _kill_node),
    Life("ahead", frozenset({"succeeded"}), _sleep(0.3), forerunner=_sleep(1.5)),
    Life(
        "row",  # of a batch, for which the node turns to another model
        frozenset({"succeeded"}),
        _sample(workload.MODELS[0]),
        forerunner=_sample(workload.MODELS[1]),
        hand_in=_hand_in_row,
    ),
    Life("first", frozenset({"succeeded"}), _sleep(0.3), prepare=_forget_connections),
    Life("rested", frozenset({"succeeded"}), _sleep(0.3), prepare=_let_rest),
    Life("retold", frozenset({"succeeded"}), _sleep(0.3), prepare=_flush_scripts),
)


def life_named(name: str) -> Life:
    """Return the life of that name."""
    return next(life for life in LIVES if life.name == name)
