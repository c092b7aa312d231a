"""A storm: mixed jobs under faults of every family, then quiet."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

import redis

from tests.chaos.fleet import workload
from tests.chaos.fleet.chaos_fleet import ChaosFleet
from tests.chaos.fleet.copies import DELIVER
from tests.chaos.fleet.evidence import Evidence
from tests.chaos.fleet.web_services import HOOKS, OWNERS
from tests.chaos.fleet.workload import Work
from tests.chaos.storm.faults import Faults
from tests.chaos.storm.stories import NAME, TIERS, Stories

_BATCHES: Final = ("", "", "b1", "b2", "b3")
#: So many jobs may be open: enough that queues are never empty, few enough to end soon.
_OPEN: Final = 60
_SUBMITTERS: Final = 3
#: So many submissions are batches of a few rows.
_AS_ROWS: Final = 0.04
_CANCELLED: Final = 0.03
_ASKED_TWICE: Final = 0.05
_OWNERS: Final = ("", "", *OWNERS)
#: Somebody wants to hear of the end of so many.
_HOOKED: Final = 0.3
#: After so many submissions an ended job is made again.
_MADE_AGAIN: Final = 0.03
#: So many wait in the pool of one node, and so many are of the graph that has a name.
_ASIDE: Final = 0.1
_BY_NAME: Final = 0.06
#: So many ask for copies of what they make.
_COPIED: Final = 0.1
#: Of these, the newest ones, some are made again.
_REMEMBERED: Final = 200


@dataclass(frozen=True, kw_only=True)
class StormOptions:
    """How long and how hard.

    Args:
        jobs, faults: how many there must be; it rages until there are.
        minutes: but no longer than that.
        quiet_s: how long to wait after the faults. The longest pause between two attempts at a
            job is a minute.
        is_paced: hand the jobs in evenly over the minutes, however long they take.
        landed_share: how many workers, and so upkeep, processes of the web and calls of producers are of the
            version that was landed last.
        http_share: how many jobs and batches are handed in over HTTP, each with a webhook.
    """

    seed: int
    jobs: int
    minutes: float
    faults: int = 0
    faults_per_s: float = 1.0
    quiet_s: float = 180.0
    is_paced: bool = False
    landed_share: float = 0
    http_share: float = 0.3


class Side(Protocol):
    """One of the two that may be stormed: the product, or a plain Celery task.

    Args:
        has_stories: whether there is more that persons may do than to hand in and to cancel.
    """

    has_stories: bool

    def client(self) -> AbstractContextManager[Any]:
        """Return what has the methods of a `JournalingClient`."""

    def ended(self, jobs: Sequence[str]) -> set[str]:
        """Return those of the jobs that have ended; raises `redis.RedisError`."""

    def wait_well(self) -> None:
        """Wait until every worker takes work again, and what upkeep has to do is done."""


class Storm:
    """One storm over one fleet."""

    def __init__(
        self, options: StormOptions, fleet: ChaosFleet, evidence: Evidence, side: Side
    ) -> None:
        self._options = options
        self._side = side
        self._evidence = evidence
        self._faults = Faults(fleet, evidence)
        self._began = time.monotonic()
        self._deadline = self._began + 60 * options.minutes
        self._handed_in = threading.Event()
        self._lock = threading.Lock()
        self._stories = Stories(evidence, self._keep) if side.has_stories else None
        self._next = 0
        self._open: dict[str, Work] = {}
        self._ended: deque[tuple[str, Work]] = deque(maxlen=_REMEMBERED)
        #: Jobs of stories, which nothing else happens to.
        self._told: set[str] = set()

    def run(self) -> float:
        """Let it rage, then wait for the quiet; return how long that took, in seconds."""
        raging = threading.Thread(target=self._rage, name="faults")
        watching = threading.Thread(target=self._watch, name="open jobs", daemon=True)
        raging.start()
        watching.start()
        with self._side.client() as client:
            if self._stories:
                self._stories.begin(client)
            submitters = [
                threading.Thread(target=self._submit_all, args=(client, number))
                for number in range(_SUBMITTERS)
            ]
            for submitter in submitters:
                submitter.start()
            for submitter in submitters:
                submitter.join()
            self._handed_in.set()
            raging.join()
            self._faults.calm()
            if self._stories:
                self._stories.end(client)
            return self._wait_quiet()

    def _rage(self) -> None:
        """Strike by chance, on average as often as asked for, until all jobs are handed in."""
        chance = random.Random(self._options.seed)
        with ThreadPoolExecutor(16, thread_name_prefix="fault") as threads:
            strikes = []
            while not self._handed_in.wait(chance.expovariate(self._options.faults_per_s)):
                kind = self._faults.draw(chance)
                own_chance = random.Random(chance.random())
                strikes.append(threads.submit(self._faults.strike, kind, own_chance))
        for strike in strikes:
            strike.result()

    def _submit_all(self, client: Any, number: int) -> None:
        chance = random.Random(f"{self._options.seed}/{number}")
        while (nonce := self._take_number()) is not None:
            while not self._is_time_for(nonce) and time.monotonic() < self._deadline:
                time.sleep(0.05)
            if chance.random() < _AS_ROWS:
                self._submit_rows(client, chance, nonce)
            else:
                self._submit_one(client, chance, nonce)

    def _submit_rows(self, client: Any, chance: random.Random, nonce: int) -> None:
        rows = workload.draw_rows(chance, nonce)
        jobs = client.submit_rows_surely(rows, key=_key(chance), **_for_whom(chance))
        with self._lock:
            self._open.update(zip(jobs, rows, strict=True))

    def _submit_one(self, client: Any, chance: random.Random, nonce: int) -> None:
        work = workload.draw(chance, nonce)
        how = {"key": _key(chance), "batch": chance.choice(_BATCHES), **_for_whom(chance)}
        if self._stories and chance.random() < _ASIDE:
            how["pool"] = "side"
        if self._stories and chance.random() < _BY_NAME:
            work, how["owner"] = workload.by_name(NAME, chance.uniform(0.02, 0.15)), OWNERS[0]
        job = client.submit_surely(work, **how)
        with self._lock:
            self._open[job] = work
        if chance.random() < _ASKED_TWICE:
            client.submit(work, **how)
        if chance.random() < _CANCELLED:
            time.sleep(chance.uniform(0, 1))
            client.cancel(job)
        if chance.random() < _MADE_AGAIN:
            self._make_again(client, chance)
        if self._stories:
            self._stories.tell(client, chance)

    def _keep(self, job: str, work: Work) -> None:
        with self._lock:
            self._open[job] = work
            self._told.add(job)

    def _make_again(self, client: Any, chance: random.Random) -> None:
        with self._lock:
            old = chance.choice(self._ended) if self._ended else None
        if old and (made := client.retry_surely(*old)):
            with self._lock:
                self._open[made] = old[1]

    def _is_time_for(self, number: int) -> bool:
        if not self._options.is_paced:
            return len(self._open) <= _OPEN
        pause_s = 60 * self._options.minutes / self._options.jobs
        return time.monotonic() - self._began > number * pause_s

    def _take_number(self) -> int | None:
        with self._lock:
            if self._is_enough() or time.monotonic() > self._deadline:
                return None
            self._next += 1
            return self._next

    def _is_enough(self) -> bool:
        has_struck = self._options.faults <= len(self._evidence.strikes())
        return self._next >= self._options.jobs and has_struck

    def _watch(self) -> None:
        """Keep count of the jobs that have not ended."""
        while True:
            time.sleep(0.2)
            self._forget_ended()

    def _forget_ended(self) -> None:
        with self._lock:
            jobs = list(self._open)
        with suppress(redis.RedisError):
            ended = self._side.ended(jobs)
            with self._lock:
                left = [(job, self._open.pop(job)) for job in sorted(ended)]
            self._ended += [one for one in left if one[0] not in self._told]

    def _wait_quiet(self) -> float:
        began = time.monotonic()
        while self._open and time.monotonic() - began < self._options.quiet_s:
            time.sleep(0.2)
        self._side.wait_well()
        return time.monotonic() - began


def _for_whom(chance: random.Random) -> dict[str, Any]:
    hook = chance.choice(HOOKS) if chance.random() < _HOOKED else ""
    copies = {"deliver": DELIVER} if chance.random() < _COPIED else {}
    return {"tier": chance.choice(TIERS), "owner": chance.choice(_OWNERS), "hook": hook, **copies}


def _key(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128)))
