"""The worker's leases: one thread renews all of them, together with the node's beat, in one call.

It shares no lock with HTTP or S3, so that a slow upload costs no lease. While Redis is away no
attempt is given up. Whether an attempt still holds its job is decided by Redis at its next
write, so a worker that was cut off may render to the end, and is refused if it came too late.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Lock, Thread
from typing import Final

from producer.contract.errors import FleetError, LeaseLost
from producer.contract.ids import JobId
from producer.contract.nodes import NodeWork
from producer.contract.operations import Wanted
from producer.store.attempts import Hold
from producer.store.calls import Call
from producer.store.limits import PREVIEW_MS
from producer.store.node_store import NodeStore
from worker.attempt.deadline import Deadline

_log = logging.getLogger(__name__)

#: Rounds without an answer after which Redis counts as away: one beat was missed.
_AWAY_AFTER: Final = 2


class JobCancelled(Exception):
    """Somebody asked for the end of the job that this attempt runs."""


class Lease:
    """Signals to one attempt: its lease was lost, or a person asked to cancel it.

    Args:
        deadline: when it must have ended; none if there is no hurry.
    """

    def __init__(self, hold: Hold, deadline: Deadline | None = None) -> None:
        self.hold = hold
        self.deadline = deadline or Deadline(math.inf)
        self.lost = Event()
        self.cancel = Event()
        #: How long it fetched before it began to store, if that phase was not noted at once.
        self.fetched_in: timedelta | None = None
        self._previewed_until = -math.inf
        self.over = Event()  #: The attempt has ended, although a call of it has not returned yet.

    @property
    def is_previewed(self) -> bool:
        """Whether somebody watches previews of the job."""
        return time.monotonic() < self._previewed_until

    def on_previews_watched(self) -> None:
        """Hand previews on for as long as the word holds."""
        self._previewed_until = time.monotonic() + PREVIEW_MS / 1_000

    def check(self) -> None:
        """Return if the attempt may go on.

        Raises:
            LeaseLost: another attempt owns the job, or it has ended.
            JobCancelled: somebody asked for its end.
            RunDeadlinePassed: it has taken as long as it may.
        """
        if self.lost.is_set() or self.over.is_set():
            raise LeaseLost(self.hold.job_id, self.hold.attempt)
        if self.cancel.is_set():
            raise JobCancelled
        self.deadline.check()


class LeaseKeeper:
    """Writes the beat of one node and renews the leases of all its jobs.

    Args:
        idle_in: returns the pool in which the node waits for work; None while it does not.
        work: returns what the node has done, which is told with each beat.
        on_displaced: called when the node's record names another worker, or none.
    """

    def __init__(
        self,
        nodes: NodeStore,
        *,
        node: str,
        worker: str,
        every: timedelta,
        idle_in: Callable[[], str | None] = lambda: None,
        work: Callable[[], NodeWork | None] = lambda: None,
        on_displaced: Callable[[str], None],
    ) -> None:
        self._nodes = nodes
        self._node = node
        self._worker = worker
        self._every_s = every.total_seconds()
        self._idle_in = idle_in
        self._work = work
        self._on_displaced = on_displaced
        self._on_desired: Callable[[Wanted], None] = lambda _: None
        self.looped_at = time.monotonic()  #: When the thread began its last round.
        self.is_watched = True  #: Whether somebody reads the events, as far as is known.
        self._heard_at = self._answers_since = -math.inf
        self._leases: dict[JobId, Lease] = {}
        self._lock = Lock()
        self._stopped = Event()
        self._soon = Event()  #: The next beat is due.
        self._thread = Thread(target=self._run, name="lease-keeper", daemon=True)

    def set_on_desired(self, on_desired: Callable[[Wanted], None]) -> None:
        """Have *on_desired* called after each beat with what persons want of the node."""
        self._on_desired = on_desired

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; leases that are held expire by themselves."""
        self._stopped.set()
        self._soon.set()

    @contextmanager
    def keep(self, hold: Hold, deadline: Deadline | None = None) -> Iterator[Lease]:
        """Renew the lease of *hold* for the length of the block."""
        lease = Lease(hold, deadline)
        with self._lock:
            # The job came back to this worker: a former attempt may still be aborting.
            if former := self._leases.get(hold.job_id):
                former.lost.set()
            self._leases[hold.job_id] = lease
        try:
            yield lease
        finally:
            lease.over.set()
            with self._lock:
                if self._leases[hold.job_id] is lease:
                    del self._leases[hold.job_id]

    def attempts(self) -> set[tuple[str, int]]:
        """Return job and attempt of each lease that it renews."""
        with self._lock:
            holds = [lease.hold for lease in self._leases.values()]
        return {(hold.job_id, hold.attempt) for hold in holds}

    def on_call(self, call: Call) -> None:
        """Signal what a call is about to the attempts that this worker runs."""
        if call.what == "watched":
            self.is_watched = True
        elif call.what == "cancel":
            for lease in self._of(call.about):
                lease.cancel.set()
        elif call.what == "desired" and call.about == self._node:
            self._soon.set()
        elif call.what == "preview":
            for lease in self._of(call.about):
                lease.on_previews_watched()

    def _of(self, job_ids: str) -> list[Lease]:
        with self._lock:
            return [lease for job in job_ids.split() if (lease := self._leases.get(JobId(job)))]

    @property
    def answered_s(self) -> float:
        """For how many seconds Redis has answered every beat in time; 0 while it does not."""
        now = time.monotonic()
        return 0.0 if self._is_away(now) else now - self._answers_since

    def __len__(self) -> int:
        return len(self._leases)

    def _run(self) -> None:
        while not self._waited():
            self.looped_at = time.monotonic()
            try:
                self._beat()
                self._heard()
            except FleetError as exc:
                _log.warning("node %s: no beat: %s", self._node, exc)
            except Exception:  # noqa: BLE001 - without this thread every lease would run out
                _log.exception("node %s: no beat", self._node)

    def _waited(self) -> bool:
        """Wait until the next beat is due; return whether there is none."""
        self._soon.wait(self._every_s)
        self._soon.clear()
        return self._stopped.is_set()

    def _heard(self) -> None:
        now = time.monotonic()
        # In this order: the watchdog may read in between.
        if self._is_away(now):
            self._answers_since = now
        self._heard_at = now

    def _is_away(self, now: float) -> bool:
        return now - self._heard_at > _AWAY_AFTER * self._every_s

    def _beat(self) -> None:
        with self._lock:
            leases = dict(self._leases)
        beat = self._nodes.beat(
            self._node,
            worker=self._worker,
            holds=[lease.hold for lease in leases.values()],
            fetched_in={
                job_id: lease.fetched_in
                for job_id, lease in leases.items()
                if lease.fetched_in is not None
            },
            idle_in=self._idle_in(),
            work=self._work(),
        )
        self.is_watched = beat.is_watched
        for job_id in beat.lost:
            leases[job_id].lost.set()
        for job_id in beat.cancels:
            leases[job_id].cancel.set()
        if beat.holder == self._worker:
            self._on_desired(beat.wanted)
        elif not self._stopped.is_set():
            self._on_displaced(beat.holder)
