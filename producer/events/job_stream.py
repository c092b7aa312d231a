"""JobStream: from snapshots and events to what `stream` yields, until all of its jobs have ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from producer.contract.ids import JobId
from producer.contract.jobs import Job, JobEvent
from producer.events.notices import LAGGED, WatchItem


class JobStream:
    """The state of one stream: which of its jobs are open, and of which the records must be read.

    It does no I/O: the twin for threads and the one for event loops feed it alike.

    Args:
        position: the stream's id that snapshots carry, to resume after.
    """

    def __init__(self, position: str) -> None:
        self._position = position
        self._missed: set[JobId] = set()
        self._unfed: set[JobId] = set()
        self.open_jobs: set[JobId] = set()  #: Those that have not ended, as far as is known.
        #: Whether `doubted` jobs must be read now, not at the next interval.
        self.must_recheck = False

    @property
    def doubted(self) -> set[JobId]:
        """Open jobs whose events may be incomplete, so that their records must be read.

        Those of which events were missed, and rows of batches that have no record yet: a million
        rows may end at once, without an event for each.
        """
        return (self._missed | self._unfed) & self.open_jobs

    def snapshots(self, jobs: Iterable[Job]) -> Iterator[JobEvent]:
        """Yield the present state of *jobs*, as read after the stream's position."""
        for job in jobs:
            self._note(job)
            yield snapshot_of(job, self._position)

    def changes(self, events: Iterable[JobEvent]) -> Iterator[JobEvent]:
        """Yield those of *events* whose job is open; a terminal status closes it."""
        for event in events:
            self._position = event.id
            if event.job in self.open_jobs:
                self._unfed.discard(event.job)
                if event.status.is_terminal:
                    self.open_jobs.discard(event.job)
                yield event

    def deliveries(self, items: Iterable[WatchItem]) -> Iterator[JobEvent]:
        """Yield the changes among what a watch has taken; `LAGGED` puts all open jobs in doubt."""
        for item in items:
            if item is LAGGED:
                self._missed |= self.open_jobs
                self.must_recheck = True
            else:
                yield from self.changes([item.event])

    def rechecked(self, jobs: Iterable[Job]) -> Iterator[JobEvent]:
        """Yield snapshots of doubted *jobs*, just read, where they say what no event has said."""
        self.must_recheck = False
        for job in jobs:
            is_news = job.done or job.id in self._missed
            self._note(job)
            if is_news:
                yield snapshot_of(job, self._position)

    def _note(self, job: Job) -> None:
        for jobs, has_it in (
            (self.open_jobs, not job.done),
            (self._missed, False),
            (self._unfed, not job.done and job.queued_at is None),
        ):
            if has_it:
                jobs.add(job.id)
            else:
                jobs.discard(job.id)


def snapshot_of(job: Job, position: str) -> JobEvent:
    """Return the present state of a job as an event; its id is the stream's *position*."""
    return JobEvent(
        id=position,
        job=job.id,
        n=0,
        type="snapshot",
        status=job.status,
        attempt=job.attempt,
        node=job.node,
        phase=job.phase,
        progress=job.progress,
        cause=job.cause,
        owner=job.owner,
        at=job.ended_at or job.started_at or job.created_at,
    )
