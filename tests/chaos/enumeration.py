"""Every request of a job's life cut before and after, every crash point killed.

One life is watched without a fault; the requests seen are the sites. Then, for each site, a job
lives under that one fault. Nothing is drawn by chance and nothing is listed by hand, so a request
that the product makes tomorrow is a site tomorrow.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any, Final, TypeVar

from producer.contract.ids import new_job_id
from tests.chaos.checker.history import History, Violation, prompt_id
from tests.chaos.checker.verdict import check
from tests.chaos.evidence import Evidence
from tests.chaos.fleet import ChaosFleet, FleetOptions
from tests.chaos.lives import LIVES, Lane, Life
from tests.chaos.naming import load_scripts
from tests.chaos.rules import Fault
from tests.chaos.sites import Site, sites_of

LANES: Final = 6

T = TypeVar("T")

#: How long the idle fleet is watched: what it says then is chatter, s.
_IDLE_S: Final = 6.0
#: How long a rule for chatter waits for it, s.
_CHATTER_S: Final = 12.0
#: A site that was not passed is tried again: the order of what runs side by side varies.
TRIES: Final = 3
_PROMPTS: Final = 6
#: On so many lanes each life is watched.
_WATCHED: Final = 3
#: Six workers may start at once: none of them may lose its jobs to that.
_LEASE_S: Final = 6.0


@dataclass(frozen=True)
class Case:
    """One site and one way to strike it.

    Args:
        lives: those that pass the site. The order of what runs side by side varies, so that a
            life may do without a request that it made when it was watched.
    """

    site: Site
    after: bool
    lives: tuple[Life, ...]

    def __str__(self) -> str:
        return f"{self.lives[0].name}: {self.site}, cut {'after' if self.after else 'before'}"


@dataclass
class Outcome:
    """What came of one case."""

    case: str
    job: str
    struck: bool
    status: str
    recovered: bool
    seconds: float
    is_fine: bool
    violations: list[Violation] = field(default_factory=list)

    @property
    def is_green(self) -> bool:
        """Whether the fault struck and nobody was harmed."""
        return self.struck and self.is_fine and self.recovered and not self.violations


class Enumeration:
    """Runs lives on the lanes of one fleet."""

    def __init__(self, fleet: ChaosFleet, evidence: Evidence, lanes: Sequence[Lane]) -> None:
        self.fleet = fleet
        self.lanes = lanes
        self.journal = evidence.folder / "client.jsonl"
        self._evidence = evidence
        self._nonces = count(1)
        self._chatter: set[str] = set()
        self.outcomes: list[Outcome] = []

    def record_cases(self) -> list[Case]:
        """Live every life once, without a fault; return each site that was passed, both ways."""
        load_scripts(self.fleet.redis.client)
        for lane in self.lanes:  # the first job opens connections
            self.live(lane, LIVES[0], str(new_job_id()))
        self._chatter = self._idle_requests()
        found: dict[Site, tuple[Life, ...]] = {}
        for life in LIVES:
            for site in self._sites_of(life):
                found[site] = (*found.get(site, ()), life)
        return [
            Case(site, after, lives) for site, lives in found.items() for after in (False, True)
        ]

    def run(self, cases: Sequence[Case]) -> None:
        """Run the cases, as many at once as there are lanes."""
        self.share_out(cases, self._try)

    def share_out(self, things: Sequence[T], run: Callable[[Lane, T], Outcome]) -> None:
        """Call *run* with a free lane for each thing, and keep what comes of it."""
        waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
        for thing in things:
            waiting.put(thing)

        def work_through(lane: Lane) -> None:
            with suppress(queue.Empty):
                while True:
                    self.outcomes.append(run(lane, waiting.get_nowait()))

        with ThreadPoolExecutor(len(self.lanes), thread_name_prefix="lane") as threads:
            for done in [threads.submit(work_through, lane) for lane in self.lanes]:
                done.result()

    def live(self, lane: Lane, life: Life, job: str) -> Outcome:
        """Live one life on a lane, under whatever is in force there."""
        began = time.monotonic()
        work = life.work(next(self._nonces))
        self._evidence.keep_journal(lane.member)
        # A client of its own for each life: what a new one has to ask for belongs to the sites.
        with self._evidence.client(lane.producer) as client:
            made = client.submit_surely(work, key=job, job_id=job, pool=lane.member.pool)
            life.act(lane, client, made)
            status = lane.wait_end(made)
        return Outcome(
            case=life.name,
            job=made,
            struck=False,
            status=status,
            recovered=lane.wait_well(),
            seconds=round(time.monotonic() - began, 2),
            is_fine=status in life.ends,
        )

    def judge(self) -> None:
        """Let the checker see all that happened, and give each outcome its violations."""
        self._evidence.collect()
        by_job = {outcome.job: outcome for outcome in self.outcomes}
        for violation in check(History.read(self._evidence.folder)):
            if violation.job in by_job:
                by_job[violation.job].violations.append(violation)
            else:
                self.outcomes.append(_homeless(violation))

    def _try(self, lane: Lane, case: Case) -> Outcome:
        for life in islice(cycle(case.lives), max(TRIES, len(case.lives))):
            outcome = self._strike(lane, case, life)
            if outcome.struck or not outcome.is_fine:
                break
        return outcome

    def _strike(self, lane: Lane, case: Case, life: Life) -> Outcome:
        job = str(new_job_id())
        proxy = self.fleet.proxy
        rule = case.site.rule(
            worker=lane.member.name,
            producer=lane.producer,
            ids=_ids(job),
            after=case.after,
            fault=Fault.CUT,
        )
        number = proxy.add(rule)
        with self._evidence.fault(str(case), lane.member.name):
            outcome = self.live(lane, life, job)
            if case.site.request in self._chatter:
                lane.wait(lambda: proxy.look(number).struck, within_s=_CHATTER_S)
        outcome.case = str(case)
        outcome.struck = bool(proxy.lift(number).struck)
        outcome.recovered = lane.wait_well()
        return outcome

    def _sites_of(self, life: Life) -> list[Site]:
        """Return what every one of some lanes passed: the rest came by chance."""
        jobs = {lane: str(new_job_id()) for lane in self.lanes[:_WATCHED]}
        self.fleet.proxy.record()
        with ThreadPoolExecutor(len(jobs)) as threads:
            for outcome in threads.map(lambda lane: self.live(lane, life, jobs[lane]), jobs):
                assert outcome.is_fine, f"{life.name} ended {outcome.status} without any fault"
        log = self.fleet.proxy.log()
        self.fleet.proxy.record(on=False)
        first, *others = (
            sites_of(
                log,
                worker=lane.member.name,
                producer=lane.producer,
                ids=_ids(job),
                chatter=self._chatter,
            )
            for lane, job in jobs.items()
        )
        return [site for site in first if all(site in other for other in others)]

    def _idle_requests(self) -> set[str]:
        self.fleet.proxy.record()
        time.sleep(_IDLE_S)  # the one thing to wait for is that nothing happens
        return {entry["request"] for entry in self.fleet.proxy.log()}


@contextmanager
def enumeration(folder: Path) -> Iterator[Enumeration]:
    """Yield an enumeration on a fleet of its own, with a pool for each lane."""
    pools = [f"lane-{number}" for number in range(1, LANES + 1)]
    options = FleetOptions(directory=folder / "fleet", pools=pools, lease_s=_LEASE_S)
    with ChaosFleet(options) as fleet, Evidence(fleet, folder / "evidence") as evidence:
        lanes = [Lane(fleet, member, f"p{n}") for n, member in enumerate(fleet.members, start=1)]
        for lane in lanes:
            fleet.open_edges(lane.producer)
        yield Enumeration(fleet, evidence, lanes)


def report(outcomes: Sequence[Outcome], *, seconds: float) -> dict[str, Any]:
    """Return counts, and every case that is not green, as JSON."""
    red = [outcome for outcome in outcomes if not outcome.is_green]
    return {
        "cases": len(outcomes),
        "green": len(outcomes) - len(red),
        "not_struck": [outcome.case for outcome in red if not outcome.struck],
        "red": [
            {
                "case": outcome.case,
                "job": outcome.job,
                "status": outcome.status,
                "recovered": outcome.recovered,
                "violations": [vars(violation) for violation in outcome.violations],
            }
            for outcome in red
        ],
        "slowest": sorted(((o.seconds, o.case) for o in outcomes), reverse=True)[:8],
        "seconds": round(seconds),
    }


def _homeless(violation: Violation) -> Outcome:
    return Outcome(
        case="the fleet",
        job="",
        struck=True,
        status="-",
        recovered=True,
        seconds=0,
        is_fine=True,
        violations=[violation],
    )


def _ids(job: str) -> list[str]:
    return [job, *(prompt_id(job, attempt) for attempt in range(1, _PROMPTS))]
