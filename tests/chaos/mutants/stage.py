"""The stage of a short story: a small fleet, and what one can do and wait for on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from tests.chaos.enumeration.life import Lane
from tests.chaos.fleet import workload
from tests.chaos.fleet.chaos_fleet import ChaosFleet
from tests.chaos.fleet.client import JournalingClient
from tests.chaos.fleet.ends import ended, is_done, status_of
from tests.chaos.fleet.evidence import Evidence
from tests.chaos.fleet.members import Member
from tests.chaos.fleet.workload import Work
from tests.chaos.proxy.rules import Fault, Rule
from tests.polling import wait_until

#: Whatever takes longer is stuck, s.
PATIENCE_S: Final = 25.0
#: When all is well there is nothing to wait for but that nothing happens, s.
_SETTLES_S: Final = 1.5


@dataclass
class Stage:
    """A small fleet, and the jobs of one story."""

    fleet: ChaosFleet
    evidence: Evidence
    client: JournalingClient
    jobs: list[str] = field(default_factory=list)
    nonces: Iterator[int] = field(default_factory=lambda: count(1))

    def submit(self, work: Work | None = None, **how: Any) -> str:
        """Hand in a job; by default one that sleeps for 0.3 s."""
        work = work or workload.sleep(0.3, nonce=next(self.nonces))
        self.jobs.append(self.client.submit_surely(work, **how))
        return self.jobs[-1]

    def submit_rows(self, works: Sequence[Work], **how: Any) -> list[str]:
        """Hand in a batch; return its jobs."""
        jobs = self.client.submit_rows_surely(works, key=f"batch-{next(self.nonces)}", **how)
        self.jobs += jobs
        return jobs

    def make_again(self, job: str, work: Work) -> None:
        """Have an ended job made again."""
        if made := self.client.retry_surely(job, work):
            self.jobs.append(made)

    def status(self, job: str) -> str:
        """Return where a job is, past every fault."""
        return status_of(self.fleet.redis.client, job)

    def holder(self, job: str) -> Member:
        """Return who runs a job."""
        return self.fleet.member(self.fleet.redis.client.hget(f"comfyfleet:job:{job}", "node"))

    def wait_rendering(self, job: str) -> Member:
        """Wait until the job's prompt runs; return on which node."""
        lane = Lane(self.fleet, self.fleet.members[0], "producer")
        lane.wait_rendering(job)
        member = self.holder(job)
        is_running = lambda: any(note["job"] == job for note in member.journal())  # noqa: E731
        wait_until(is_running, description="its prompt runs", within_s=PATIENCE_S)
        return member

    def wait_ends(self) -> None:
        """Wait until every job has ended, or until it is clear that one never will."""
        self._wait(lambda: ended(self.fleet.redis.client, self.jobs) == set(self.jobs))

    def wait_done(self, *to_do: str, within_s: float = PATIENCE_S) -> None:
        """Wait until upkeep has done this, of what `fleet.ends` lists, or until it is clear that it never will."""
        self._wait(lambda: is_done(self.fleet.redis.client, *to_do), within_s=within_s)

    def wait_struck(self, number: int) -> None:
        """Wait until a rule has struck, or until it is clear that nobody comes to it."""
        self._wait(lambda: self.fleet.proxy.look(number).struck > 0)

    def tell_all(self) -> None:
        """Tell every end that is due."""
        while self.client.tell():
            pass

    def _wait(self, is_so: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + within_s
        while not is_so() and time.monotonic() < deadline:
            time.sleep(0.05)

    @contextmanager
    def catching(
        self, edge: str, request: str, *, fault: Fault = Fault.SWALLOW
    ) -> Iterator[Callable[[], None]]:
        """Keep the next such request on its way for the block; yield how to wait for it.

        Args:
            fault: DROP for one that must not arrive after the block either, its sender being dead.
        """
        with self.under(Rule(edge=edge, request=request, fault=fault)) as number:

            def wait_caught() -> None:
                wait_until(
                    lambda: self.fleet.proxy.look(number).struck,
                    description=f"somebody sends {request}",
                    within_s=PATIENCE_S,
                )

            yield wait_caught

    @contextmanager
    def under(self, rule: Rule) -> Iterator[int]:
        """Keep a rule in force for the block, and note that it was."""
        noted = self.evidence.fault(f"connection: {rule.request} {rule.fault}", "all")
        with noted, self.fleet.proxy.under(rule) as number:
            yield number

    def settle(self) -> None:
        """Leave time for what must not happen."""
        time.sleep(_SETTLES_S)
