"""Lives under one fault each, side by side on the lanes of one fleet."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

from producer.contract.ids import new_job_id
from tests.chaos.checker.history import History
from tests.chaos.checker.verdict import check
from tests.chaos.enumeration.cases import EXACT, Case, Turn, spread
from tests.chaos.enumeration.life import Lane, Life
from tests.chaos.enumeration.lives import LIVES
from tests.chaos.enumeration.outcomes import Outcome, of_the_fleet
from tests.chaos.enumeration.sites import ids_of
from tests.chaos.fleet.chaos_fleet import ChaosFleet
from tests.chaos.fleet.client import JournalingClient
from tests.chaos.fleet.copies import ALLOWED, make_now
from tests.chaos.fleet.ends import is_done
from tests.chaos.fleet.evidence import Evidence
from tests.chaos.fleet.options import FleetOptions
from tests.chaos.proxy.rules import Fault, Rule

LANES: Final = 6

T = TypeVar("T")

#: Six workers may start at once: none of them may lose its jobs to that.
_LEASE_S: Final = 6.0
#: A sender that was cut off leaves what it has taken to others after 30 s, and its webhook has failed then.
_TOLD_WITHIN_S: Final = 60.0
#: What has ended is packed so soon, s, but after any call about it that was cut has been made again.
_PACK_ENDED_S: Final = 2.0


class Enumeration:
    """Runs lives on the lanes of one fleet."""

    def __init__(self, fleet: ChaosFleet, evidence: Evidence, lanes: Sequence[Lane]) -> None:
        self.fleet = fleet
        self.lanes = lanes
        self.journal = evidence.folder / "client.jsonl"
        self.outcomes: list[Outcome] = []
        self._evidence = evidence
        self._nonces = count(1)

    def run(self, cases: Sequence[Case]) -> None:
        """Run the cases, as many at once as there are lanes."""
        self.share_out(spread(cases), self._try)

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

    def struck(self, case: str, target: str) -> AbstractContextManager[object]:
        """Note that a case strikes *target* for the length of the block."""
        return self._evidence.fault(case, target)

    def client(self, lane: Lane) -> JournalingClient:
        """Return a client that speaks through the lane's edges."""
        return self._evidence.client(lane.producer)

    def live(self, lane: Lane, life: Life, job: str) -> Outcome:
        """Live one life on a lane, under whatever is in force there."""
        began = time.monotonic()
        work = life.work(next(self._nonces))
        self._evidence.keep_journal(lane.member)
        life.prepare(lane)
        # A client of its own for each life: what a new one has to ask for belongs to the sites.
        with self.client(lane) as client:
            if life.forerunner:
                ahead = life.forerunner(next(self._nonces))
                lane.wait_rendering(client.submit_surely(ahead, pool=lane.member.pool))
            made = life.hand_in(lane, client, work, job)
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
        self.fleet.web.try_to_hurry()
        make_now(self.fleet.redis.client)
        told = partial(is_done, self.fleet.redis.client, "outbox", "deliveries", "copies")
        self.lanes[0].wait(told, within_s=_TOLD_WITHIN_S)
        self._evidence.collect()
        by_job = {outcome.job: outcome for outcome in self.outcomes}
        for violation in check(History.read(self._evidence.folder)):
            if violation.job in by_job:
                by_job[violation.job].violations.append(violation)
            else:
                self.outcomes.append(of_the_fleet(violation))

    def _try(self, lane: Lane, case: Case) -> Outcome:
        """Try until the site is passed; where its repetition does not come, strike the last one."""
        site = case.site
        for tried, turn in enumerate(case.turns(), start=1):
            outcome, rule = self._strike(lane, replace(case, site=site), turn)
            if rule.struck or not outcome.is_fine:
                break
            if tried >= EXACT:
                site = replace(site, nth=max(1, min(site.nth, rule.seen)))
        outcome.case = str(case)
        outcome.moved_to = site.nth if site != case.site else 0
        return outcome

    def _strike(self, lane: Lane, case: Case, turn: Turn) -> tuple[Outcome, Rule]:
        job = str(new_job_id())
        proxy = self.fleet.proxy
        number = proxy.add(
            case.site.rule(
                worker="n*" if turn.by_anyone else lane.member.name,
                producer="p*" if turn.by_anyone else lane.producer,
                ids=ids_of(job),
                after=case.after,
                fault=Fault.CUT,
            )
        )
        is_struck = lambda: proxy.look(number).struck  # noqa: E731
        with self._evidence.fault(str(case), "all" if turn.by_anyone else lane.member.name):
            outcome = self._live_through(lane, turn.life, job)
            strikes_late = not is_struck() and self._wait_timers(is_struck, turn.waits_s)
        rule = proxy.lift(number)
        outcome.struck = bool(rule.struck)
        outcome.recovered = lane.wait_well()
        if strikes_late and outcome.is_fine:  # who was struck at rest must still take the next job
            outcome.is_fine = self.live(lane, LIVES[0], str(new_job_id())).is_fine
        return outcome, rule

    def _wait_timers(self, is_struck: Callable[[], object], waits_s: float) -> bool:
        """Wait for what comes by itself; tell whether it did."""
        if not waits_s:
            return False
        # Cut or killed, the holder of kombu's lock leaves it behind, and nobody looks for 300 s.
        self.fleet.redis.client.delete("unacked_mutex")
        return self.lanes[0].wait(is_struck, within_s=waits_s)

    def _live_through(self, lane: Lane, life: Life, job: str) -> Outcome:
        """Live one life; what goes wrong with it ends this case, not the others."""
        began = time.monotonic()
        try:
            return self.live(lane, life, job)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the case is red and says so
            return Outcome(
                case=life.name,
                job=job,
                struck=False,
                status=repr(exc),
                recovered=lane.wait_well(),
                seconds=round(time.monotonic() - began, 2),
                is_fine=False,
            )


@contextmanager
def enumeration(folder: Path) -> Iterator[Enumeration]:
    """Yield an enumeration on a recorded fleet of its own, with a pool for each lane."""
    pools = [f"lane-{number}" for number in range(1, LANES + 1)]
    options = FleetOptions(
        directory=folder / "fleet",
        pools=pools,
        lease_s=_LEASE_S,
        is_recorded=True,
        settings={"pack_ended_s": str(_PACK_ENDED_S), **ALLOWED},
        web=1,
    )
    with ChaosFleet(options) as fleet, Evidence(fleet, folder / "evidence") as evidence:
        lanes = [Lane(fleet, member, f"p{n}") for n, member in enumerate(fleet.members, start=1)]
        for lane in lanes:
            fleet.open_edges(lane.producer)
        yield Enumeration(fleet, evidence, lanes)
