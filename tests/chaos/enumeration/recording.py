"""The list of cases, made by watching a fleet start, rest and live every life without a fault.

Nothing is listed by hand: a request that the product makes tomorrow is a site tomorrow.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from producer.contract.ids import new_job_id
from tests.chaos.enumeration.cases import Case
from tests.chaos.enumeration.lanes import Enumeration
from tests.chaos.enumeration.life import Life
from tests.chaos.enumeration.lives import LIVES, life_named
from tests.chaos.enumeration.sites import (
    BY_TIME,
    Call,
    Site,
    calls_of,
    ids_of,
    sites_of,
    sites_of_web,
)
from tests.chaos.proxy.naming import load_scripts

#: How long the idle fleet is watched: what it says then comes by itself, s. Its timers tick once.
_IDLE_S: Final = 11.0
#: On so many lanes each life is watched.
_WATCHED: Final = 3
_ANEW: Final = (life_named("returning"),)


def record_cases(running: Enumeration) -> list[Case]:
    """Return every call that anybody made, and its repetitions in a life, to be cut both ways.

    The fleet must have been recorded from its start.
    """
    return _Recording(running).cases()


#: See `_by_chance`.
_RARE: Final = ("ZRANGE owners", "SCRIPT")


class _Recording:
    def __init__(self, running: Enumeration) -> None:
        self._running = running
        self._proxy = running.fleet.proxy
        self._chatter: set[str] = set()
        #: In which lives a call was seen, by whomever.
        self._seen: dict[Call, list[Life]] = {}

    def cases(self) -> list[Case]:
        for lane in self._running.lanes:  # the first job opens connections
            self._running.live(lane, LIVES[0], str(new_job_id()))
        load_scripts(self._running.fleet.redis.client)
        self._note_calls(self._proxy.log(), ())
        self._chatter = self._idle_requests()
        passed: dict[Site, tuple[Life, ...]] = {}
        for life in LIVES:
            for site in self._sites_of(life):
                passed[site] = (*passed.get(site, ()), life)
        self._proxy.record(on=False)
        lists = passed | self._by_chance(passed)
        return [
            # What was seen in no life belongs to a start, or to a timer that counts from there.
            Case(site, after, lives or _ANEW, waits=not lives or site.request in self._chatter)
            for site, lives in lists.items()
            for after in (False, True)
        ]

    def _idle_requests(self) -> set[str]:
        self._proxy.record()
        time.sleep(_IDLE_S)  # the one thing to wait for is that nothing happens
        log = self._proxy.log()
        self._note_calls(log, ())
        return {entry["request"] for entry in log}

    def _sites_of(self, life: Life) -> list[Site]:
        """Return what every one of some lanes passed: the rest came by chance."""
        lanes = self._running.lanes[:_WATCHED]
        jobs = [str(new_job_id()) for _ in lanes]
        self._proxy.record()
        with ThreadPoolExecutor(len(lanes)) as threads:
            for outcome in threads.map(self._running.live, lanes, [life] * len(lanes), jobs):
                assert outcome.is_fine, f"{life.name} ended {outcome.status} without any fault"
        log = self._proxy.log()
        if life.is_of_web:
            return sites_of_web(log, lanes=len(lanes))
        self._note_calls(log, (life,))
        first, *others = (
            sites_of(
                log,
                worker=lane.member.name,
                producer=lane.producer,
                ids=ids_of(job),
                chatter=self._chatter,
            )
            for lane, job in zip(lanes, jobs, strict=True)
        )
        return [
            site
            for site in first
            if all(site in other for other in others) and not site.request.startswith(_RARE)
        ]

    def _note_calls(self, log: list[dict[str, Any]], lives: Iterable[Life]) -> None:
        workers = {lane.member.name for lane in self._running.lanes}
        producers = {lane.producer for lane in self._running.lanes}
        for call in calls_of(log, workers=workers, producers=producers):
            self._seen.setdefault(call, []).extend(lives)

    def _by_chance(self, passed: Iterable[Site]) -> dict[Site, tuple[Life, ...]]:
        """Return the calls that no life makes for sure: timers, starts, what a race decides.

        What a node sends by chance is no call of ours, and may never come again. Nor may what is asked once a
        minute by whoever sweeps, or where a library has to look whether Redis still has a script.
        """
        sure = {site.call for site in passed}
        return {
            Site(*call, nth=1, about=False): tuple(lives)
            for call, lives in self._seen.items()
            if call not in sure and not call[1].startswith((BY_TIME, *_RARE))
        }
