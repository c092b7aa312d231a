"""Waits for jobs, batches and actions: how long, and what comes of them."""

from __future__ import annotations

import time
from datetime import timedelta

from producer.contract.arguments import checked
from producer.contract.batches import Batch
from producer.contract.errors import ActionFailed, JobNotSucceeded, WaitTimeout
from producer.contract.jobs import Job, JobStatus
from producer.contract.number_words import how_many
from producer.contract.outcomes import ActionRecord, ActionState


class Deadline:
    """The time *length* from now; None: never.

    Raises:
        InvalidJob: the caller's *timeout* is of another type.
    """

    def __init__(self, length: timedelta | None) -> None:
        length_s = None if length is None else checked(length, timedelta, field="timeout")
        self._ends = None if length_s is None else time.monotonic() + length_s.total_seconds()

    @property
    def left(self) -> timedelta:
        """The time left until then; the longest timedelta if never."""
        if self._ends is None:
            return timedelta.max
        return max(timedelta(0), timedelta(seconds=self._ends - time.monotonic()))

    @property
    def is_over(self) -> bool:
        """Whether it has passed."""
        return self._ends is not None and time.monotonic() >= self._ends


def succeeded(job: Job, timeout: timedelta | None) -> Job:
    """Return an awaited job if it succeeded.

    Raises:
        JobNotSucceeded: with the reason and the advice of its record.
        WaitTimeout: it has not ended within *timeout*.
    """
    if job.status is JobStatus.SUCCEEDED:
        return job
    if not job.done and timeout is not None:
        raise WaitTimeout(job.id, timeout.total_seconds(), job.status)
    why = f": {job.error.message}" if job.error else ""
    advice = job.error.advice if job.error else None
    raise JobNotSucceeded(job, f"job {job.id} {job.status}{why}", advice=advice)


def late(batch: Batch, timeout: timedelta | None) -> WaitTimeout:
    """Return the error that `wait_batch` raises when *timeout* is over."""
    seconds = timeout.total_seconds() if timeout else 0
    counts = batch.counts
    left = counts.waiting + counts.held + counts.queued + counts.running
    status = f"{batch.state}, {how_many(left, 'job')} to go,"
    return WaitTimeout(batch.id, seconds, status, what="batch")


def carried_out(record: ActionRecord, timeout: timedelta | None) -> ActionRecord:
    """Return an awaited action; errors as of `Producer.wait_action`."""
    if record.state in {ActionState.FAILED, ActionState.CANCELLED}:
        raise ActionFailed(record)
    if not record.has_ended:
        seconds = timeout.total_seconds() if timeout else 0
        raise WaitTimeout(record.id, seconds, record.state, what="action")
    return record
