"""What a life of a job is, and the lane of a fleet that it is lived on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import redis

from tests.chaos.checker.history import TERMINAL
from tests.chaos.fleet.chaos_fleet import ChaosFleet
from tests.chaos.fleet.client import JournalingClient
from tests.chaos.fleet.ends import status_of
from tests.chaos.fleet.members import Member
from tests.chaos.fleet.workload import Work

#: No step of a life takes longer, whatever was cut, s.
PATIENCE_S: Final = 45.0


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
        self.wait(lambda: self.status(job) in TERMINAL, within_s=within_s)
        return self.status(job)

    def status(self, job: str) -> str:
        """Return where the job is, be its record packed or not; `unknown` if nothing is known of it."""
        try:
            return status_of(self.fleet.redis.client, job) or "unknown"
        except redis.RedisError:
            return "unknown"

    def wait_rendering(self, job: str) -> None:
        """Wait until the job's prompt runs, or the job has ended."""

        def is_rendering() -> bool:
            record = self.record(job)
            return record.get("phase") == "rendering" or record.get("status") in TERMINAL

        self.wait(is_rendering)

    def wait_well(self) -> bool:
        """Wait until the worker takes work again."""
        return self.wait(lambda: self.fleet.is_ready(self.member))


def hand_in(lane: Lane, client: JournalingClient, work: Work, job: str) -> str:
    """Hand a job in to the lane's own pool."""
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
        is_of_web: whether what is struck in it are calls of the API, of senders and to the receiver, which serve all
            lanes; in others it is those of workers and producers.
    """

    name: str
    ends: frozenset[str]
    work: Callable[[int], Work]
    act: Callable[[Lane, JournalingClient, str], None] = lambda _lane, _client, _job: None
    prepare: Callable[[Lane], None] = lambda _lane: None
    forerunner: Callable[[int], Work] | None = None
    hand_in: Callable[[Lane, JournalingClient, Work, str], str] = hand_in
    is_of_web: bool = False
