"""Sweeper of upkeep: ends lapsed leases, sends lost messages again, does what is due, feeds batches.

Every worker runs it, and one at a time sweeps (see `sweep_turns`). It may be killed between any two lines: a job that was
requeued but not sent has no message, and the sweep for unsent jobs finds it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from producer.contract.crashpoints import crashpoint
from producer.contract.errors import JobNotFound, LeaseLost
from producer.contract.ids import JobId, parse_job_id
from producer.contract.jobs import Job, JobError, JobStatus
from producer.contract.queues import Message
from producer.contract.submissions import Submission
from producer.dispatch import Dispatch
from producer.storage.batch_results import BatchResults
from producer.store.calls import Call
from producer.store.job_store import JobStore
from producer.store.sweeps import Sweeps
from producer.upkeep.batch_feeder import Feeder
from producer.upkeep.bulk_actions import BulkActions
from producer.upkeep.fault_isolation import stopping_no_other
from producer.upkeep.lapse_evidence import LeaseWatch
from producer.upkeep.results_writer import ResultsWriter
from producer.upkeep.sweep_turns import SweepTurns

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)

#: A queue is retired after it has had no new job for so long.
QUEUE_IDLE: Final = timedelta(days=1)
#: A record that ended so long ago is packed, unless the settings say otherwise.
PACK_AFTER: Final = timedelta(hours=1)
_RETIRE_EVERY: Final = timedelta(minutes=1)
#: How often lists are looked through for jobs whose record has expired.
_FORGET_EVERY: Final = timedelta(minutes=1)
#: The time between two sightings of a queued job without a message, after which it is sent again: one that was
#: popped and is not claimed yet has none, either.
SIGHTINGS_APART: Final = timedelta(seconds=3)

#: Lapsed leases that one sweep ends; the next one continues.
_AT_ONCE: Final = 200


class Verdict(Protocol):
    """The decision about an attempt whose lease has lapsed, made by worker.attempt.retry."""

    @property
    def error(self) -> JobError:
        """The attempt's error."""

    @property
    def again(self) -> bool:
        """Whether the job gets another attempt; else it fails."""

    @property
    def fingerprint(self) -> str:
        """What the attempt's end has in common with others of its kind."""


class Upkeep:
    """Sweeps the fleet, one call of `sweep` after another.

    Args:
        who: the name of this process in the upkeep lock.
        renew: how often a living worker renews its leases.
        judge: decides whether a job whose lease has run out is requeued or failed.
        sightings_apart: see `SIGHTINGS_APART`.
        pack_after: the time from a job's end until its record is packed.
        objects: where `write_results` writes; it needs one.
        redis: to carry out actions on many jobs; None: leave them to others.
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
        renew: timedelta,
        every: timedelta,
        interrupt: Callable[[Job], None],
        judge: Callable[[Job], Verdict],
        sightings_apart: timedelta = SIGHTINGS_APART,
        pack_after: timedelta = PACK_AFTER,
        objects: BatchResults | None = None,
        redis: Redis | None = None,
    ) -> None:
        self._store = store
        self._sweeps = sweeps
        self._dispatch = dispatch
        self._who = who
        self._lease = lease
        self._every = every
        self._turns = SweepTurns(every_s=every.total_seconds())
        self._interrupt = interrupt
        self._judge = judge
        self._sightings_apart = sightings_apart
        # A lease less one renewal: a process that has watched all along is not delayed by it.
        self._watch = LeaseWatch(unrenewed=max(renew, lease - renew))
        self._packing = sweeps.packing(after=pack_after)
        self._row_packing = sweeps.row_packing(after=pack_after)
        self._results = objects and ResultsWriter(
            sweeps.result_files(store, after=pack_after), objects
        )
        self._actions = None if redis is None else BulkActions(redis, store, dispatch)
        self._lapsed: list[JobId] = []
        self._retired_at = -_RETIRE_EVERY.total_seconds()
        self._forgot_at = -_FORGET_EVERY.total_seconds()
        self._feeder = Feeder(sweeps.feeds(lease=lease), wake=self._wake, resend=self._send_all)

    def sweep(self) -> None:
        """Do all steps of upkeep once, if it is this process' turn."""
        if not self._turns.is_due():
            return
        # Also without the lock: the process that sweeps next should have watched the leases before.
        self._lapsed = self._watch.lapsed(*self._sweeps.leases())
        leads = self._sweeps.lead(self._who, length=self._every * 0.9)
        self._turns.on_tried(leads=leads)
        if not leads:
            return
        steps, done = self._steps(), 0
        for step in steps:
            with stopping_no_other(_log, "upkeep: %s failed; the others go on", step.__name__):
                step()
                done += 1
        if self._turns.on_swept(is_whole=done == len(steps)):
            self._sweeps.leave_sweeping(self._who)

    def on_call(self, call: Call) -> None:
        """Learn from a call whether another process sweeps."""
        if call.outlook:
            self._turns.on_others(present=len(call.outlook.nodes) > 1)
            self._turns.on_said()
        elif call.what == "swept":
            self._turns.on_said()
        elif call.what == "sweep" and call.about != self._who:
            self._turns.on_left()

    def _steps(self) -> Sequence[Callable[[], object]]:
        return (
            self._do_what_is_due,
            self._send_what_is_unsent,
            self._end_dead_leases,
            self._tell_outlook,
            self._feeder.feed,
            *([self._actions.carry_out] if self._actions else []),
            self._retire_queues,
            self._forget_expired,
            self._packing.pack,
            self._row_packing.pack,
        )

    def write_results(self, *, every: timedelta) -> None:
        """Write results of batches to the bucket, if it is this process' turn.

        It may take long where that is away, so it has a thread of its own.
        """
        if self._results and self._sweeps.lead(self._who, length=every * 0.9, what="results"):
            self._results.write()

    def _do_what_is_due(self) -> None:
        self._send_all(self._sweeps.due())

    def _send_what_is_unsent(self) -> None:
        """Send messages for queued jobs that have none."""
        queues = self._sweeps.queues()
        self._send_all(self._sweeps.unsent(queues, sightings_apart=self._sightings_apart))

    def _tell_outlook(self) -> None:
        told = self._sweeps.tell_outlook(every=self._every, lease=self._lease)
        if self._turns.has_to_say(told=told):
            self._sweeps.say_swept()

    def _retire_queues(self) -> None:
        if time.monotonic() - self._retired_at < _RETIRE_EVERY.total_seconds():
            return
        self._retired_at = time.monotonic()
        for queue in self._sweeps.retire_queues(idle=QUEUE_IDLE):
            _log.info("queue %s is retired until a job comes to it again", queue)

    def _forget_expired(self) -> None:
        if time.monotonic() - self._forgot_at < _FORGET_EVERY.total_seconds():
            return
        self._forgot_at = time.monotonic()
        if self._sweeps.lead(self._who, length=_FORGET_EVERY * 0.9, what="lists"):
            self._sweeps.forget_expired()

    def _end_dead_leases(self) -> None:
        # No worker could renew while Redis was down: wait for the length of a lease after its start.
        if self._lapsed and self._sweeps.started_ago() > self._lease:
            for job_id in self._lapsed[:_AT_ONCE]:
                with stopping_no_other(_log, "job %s lapsed and cannot be taken over", job_id):
                    self._take_over(job_id)

    def _take_over(self, job_id: JobId) -> None:
        if not _is_id(job_id):
            _log.warning("a lease of %r is forgotten: no job has such an id", job_id[:80])
            self._sweeps.forget_lease(job_id)
            return
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
                self._store.fail_lapsed(
                    job_id,
                    attempt=job.attempt,
                    error=verdict.error,
                    fingerprint=verdict.fingerprint,
                )
                return
            attempt = self._store.requeue(
                job_id,
                attempt=job.attempt,
                worker=None,
                error=verdict.error,
                charged=False,
                elsewhere=job.pin is None,
                fingerprint=verdict.fingerprint,
            )
        except LeaseLost:
            return  # it was renewed or taken back in between
        crashpoint("upkeep.requeued")
        if attempt is not None:
            self._dispatch.try_send_all([Message(job_id, attempt, job.queue, job.tier.priority)])

    def _send_all(self, job_ids: list[JobId]) -> None:
        """Send messages for jobs that wait, also for those whose record only a newer worker can read."""
        messages = self._sweeps.messages(job_ids)
        for message in messages:
            _log.info("job %s attempt %d: sent again", message.job_id, message.attempt)
        self._dispatch.try_send_all(messages)

    def _wake(self, fed: Sequence[Submission]) -> None:
        """Send the first messages for rows that were just fed."""
        crashpoint("batch.fed")
        self._dispatch.try_send_all(
            [Message(row.id, 1, row.queue, row.tier.priority) for row in fed]
        )


def _is_id(text: str) -> bool:
    try:
        return parse_job_id(text) == text
    except ValueError:
        return False
