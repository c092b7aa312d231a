"""WatchMethods: the calls of `Producer` that read jobs, follow them and wait for them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

from producer.contract.config.settings import Settings
from producer.contract.errors import (
    FleetUnreachable,
    InvalidJob,
    JobNotFound,
    JobNotSucceeded,
    WaitTimeout,
)
from producer.contract.ids import JobId, parse_job_id
from producer.contract.jobs import Job, JobEvent, JobStatus
from producer.events.event_watch import EventWatch
from producer.events.job_stream import JobStream
from producer.events.reader import fanout_of
from producer.store.events import EventStream
from producer.store.job_store import JobStore

#: How often the records of jobs are read whose events may be incomplete.
RECHECK_EVERY: Final = timedelta(seconds=5)


class WatchMethods:
    """Read jobs, follow them, wait for them."""

    settings: Settings
    _jobs: JobStore
    _events: EventStream

    def get(self, job_id: str) -> Job:
        """Read one job.

        Raises:
            JobNotFound: no such job, or its record has expired.
        """
        return self._jobs.get(job_id_of(job_id))

    def get_many(self, job_ids: Iterable[str]) -> list[Job]:
        """Read some jobs, in one round trip and the order asked for; errors as of `get`."""
        wanted = [job_id_of(job_id) for job_id in job_ids]
        found = self._jobs.find(wanted)
        for job_id in wanted:
            if job_id not in found:
                raise JobNotFound(job_id)
        return [found[job_id] for job_id in wanted]

    def wait(self, job_id: str, *, timeout: timedelta | None = None) -> Job:
        """Return the job once it has succeeded.

        Raises:
            JobNotSucceeded: it ended otherwise; the error carries the job.
            WaitTimeout: it is not over yet, and goes on.
        """
        for _ in self.stream(job_id, timeout=timeout):
            pass
        return succeeded(self.get(job_id), timeout)

    def stream(
        self, *job_ids: str, timeout: timedelta | None = None, after: str | None = None
    ) -> Iterator[JobEvent]:
        """Give the events of some jobs as they happen, the present state of each first.

        It ends when all of them have ended, each with an event of a terminal status. All streams
        of a process share one reader. A Redis that goes away meanwhile is waited for; if events
        were lost with it, or by a reader slower than the fleet, the present states come again.

        Args:
            timeout: stop after that, whatever the jobs do.
            after: the id of the last event seen; what came since is given first.
        """
        deadline, recheck = Deadline(timeout), Deadline(RECHECK_EVERY)
        wanted = [job_id_of(job_id) for job_id in job_ids]
        with self.watch(*wanted) as watch:
            stream = JobStream(after or watch.since)
            yield from stream.snapshots(self.get_many(wanted))
            if after:
                yield from stream.changes(self.events(after=after, until=watch.since))
            while stream.open_jobs and not deadline.is_over:
                yield from stream.deliveries(watch.take(wait=min(deadline.left, recheck.left)))
                if stream.must_recheck or recheck.is_over:
                    recheck = Deadline(RECHECK_EVERY)
                    yield from stream.rechecked(found_of(self, stream.doubted))

    def watch(self, *topics: str) -> EventWatch:
        """Return a `with` block within which the events of some topics are delivered.

        Args:
            topics: job ids, batch ids, or `producer.events.subscribers.EVERYTHING`.
        """
        return EventWatch(fanout_of(self.settings), topics)

    def events(self, *, after: str, until: str = "+") -> Iterator[JobEvent]:
        """Give what the stream still holds of all events after one id, up to another."""
        return self._events.between(after, until)


def found_of(fleet: WatchMethods, job_ids: Iterable[str]) -> list[Job]:
    """Read jobs as `get_many` does, but none while Redis is away: a stream reads them again later."""
    try:
        return fleet.get_many(job_ids)
    except FleetUnreachable:
        return []


class Deadline:
    """A moment *length* from now on; with None it never comes."""

    def __init__(self, length: timedelta | None) -> None:
        self._ends = None if length is None else time.monotonic() + length.total_seconds()

    @property
    def left(self) -> timedelta:
        """How long it is until then; for one that never comes, the longest timedelta."""
        if self._ends is None:
            return timedelta.max
        return max(timedelta(0), timedelta(seconds=self._ends - time.monotonic()))

    @property
    def is_over(self) -> bool:
        """Whether it has passed."""
        return self._ends is not None and time.monotonic() >= self._ends


def succeeded(job: Job, timeout: timedelta | None) -> Job:
    """Return a job that was waited for if it succeeded.

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


def job_id_of(text: str) -> JobId:
    """Return *text* as a job id.

    Raises:
        InvalidJob: it is none.
    """
    try:
        return parse_job_id(text)
    except ValueError:
        raise InvalidJob(
            f"{text!r} is no job id; one looks like 01a202b8-2e5f-7533-81db-221426b72003",
            field="job",
        ) from None
