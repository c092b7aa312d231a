"""Upkeep: ends dead leases, sends again what lost its message, does what has fallen due, feeds batches.

Any worker may run it, one at a time does. It may be killed between any two lines: a job that
was requeued but not sent has no message, and that is what the sweep for unsent jobs finds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, Protocol

from producer.batch.feeder import Feeder
from producer.contract.crashpoints import crashpoint
from producer.contract.errors import FleetError, JobNotFound, LeaseLost
from producer.contract.ids import JobId
from producer.contract.jobs import Job, JobError, JobStatus
from producer.contract.submissions import Submission
from producer.dispatch import Dispatch, Message
from producer.store.job_store import JobStore
from producer.store.sweeps import Sweeps

_log = logging.getLogger(__name__)

#: A job popped but not yet claimed looks lost for some milliseconds; be sure.
SIGHTINGS_APART: Final = timedelta(seconds=3)


class Verdict(Protocol):
    """What is decided of an attempt whose lease has run out; worker.retry makes it."""

    @property
    def error(self) -> JobError:
        """Why the attempt ended."""

    @property
    def again(self) -> bool:
        """Whether the job waits for another attempt; else it has failed."""


class Upkeep:
    """One sweep after the other.

    Args:
        who: names this process in the lock.
        judge: decides what becomes of a job whose lease has run out.
        interrupt: tries to stop a job's old prompt on its node, so that two nodes do not
            render the same; it must not raise.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        sweeps: Sweeps,
        dispatch: Dispatch,
        who: str,
        lease: timedelta,
        every: timedelta,
        interrupt: Callable[[Job], None],
        judge: Callable[[Job], Verdict],
    ) -> None:
        self._store = store
        self._sweeps = sweeps
        self._dispatch = dispatch
        self._who = who
        self._lease = lease
        self._every = every
        self._interrupt = interrupt
        self._judge = judge
        self._feeder = Feeder(sweeps.feeds(lease=lease), wake=self._wake, resend=self._send_all)

    def sweep(self) -> None:
        """Look once over the fleet, if it is this process' turn."""
        if not self._sweeps.lead(self._who, length=self._every * 0.9):
            return
        self._send_all(self._sweeps.due())
        self._send_all(self._sweeps.unsent(self._sweeps.queues(), sightings_apart=SIGHTINGS_APART))
        self._end_dead_leases()
        self._sweeps.tell_outlook(every=self._every, lease=self._lease)
        self._feeder.feed()

    def _end_dead_leases(self) -> None:
        lapsed = self._sweeps.lapsed()
        # Nobody could renew while Redis was down, so its first lease proves nothing.
        if lapsed and self._sweeps.started_ago() > self._lease:
            for job_id in lapsed:
                try:
                    self._take_over(job_id)
                except FleetError:
                    raise
                except Exception:  # noqa: BLE001 - one bad record must not stop the others
                    _log.exception("job %s lapsed and cannot be taken over", job_id)

    def _take_over(self, job_id: JobId) -> None:
        try:
            job = self._store.get(job_id)
        except JobNotFound:
            self._sweeps.forget_lease(job_id)
            return
        if job.status is not JobStatus.RUNNING:
            self._sweeps.forget_lease(job_id)
            return
        self._interrupt(job)
        crashpoint("upkeep.interrupted")
        verdict = self._judge(job)
        _log.warning("job %s attempt %d: %s", job_id, job.attempt, verdict.error.message)
        try:
            if not verdict.again:
                self._store.fail_lapsed(job_id, attempt=job.attempt, error=verdict.error)
                return
            attempt = self._store.requeue(
                job_id,
                attempt=job.attempt,
                worker=None,
                error=verdict.error,
                charged=False,
                elsewhere=job.pin is None,
            )
        except LeaseLost:
            return  # it was renewed or taken back in between
        crashpoint("upkeep.requeued")
        if attempt is not None:
            self._send(job, attempt)

    def _send_all(self, job_ids: list[JobId]) -> None:
        for job in self._store.find(job_ids).values():
            _log.info("job %s attempt %d: sent again", job.id, job.attempt)
            self._send(job, job.attempt)

    def _wake(self, fed: Sequence[Submission]) -> None:
        """Send the first messages of rows that have just been fed."""
        crashpoint("batch.fed")
        try:
            self._dispatch.send_all(Message(row.id, 1, row.queue, row.tier.priority) for row in fed)
        except FleetError as exc:
            _log.warning("%d jobs: not sent, a later sweep will: %s", len(fed), exc)

    def _send(self, job: Job, attempt: int) -> None:
        try:
            self._dispatch.send(
                job.id, attempt=attempt, queue=job.queue, priority=job.tier.priority
            )
        except FleetError as exc:
            _log.warning("job %s: not sent, the next sweep will: %s", job.id, exc)
