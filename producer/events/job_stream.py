"""What one who follows some jobs is given: the present state of each, then every change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from producer.contract.ids import JobId
from producer.contract.jobs import Job, JobEvent
from producer.events.notices import LAGGED, Told


class JobStream:
    """The jobs that somebody follows until all have ended.

    Args:
        position: the stream's id that snapshots carry, to resume after.
    """

    def __init__(self, position: str) -> None:
        self._position = position
        self._missed: set[JobId] = set()
        self._unfed: set[JobId] = set()
        self.open_jobs: set[JobId] = set()
        self.must_look = False  #: Whether to look at doubted jobs now, not only now and then.

    @property
    def doubted(self) -> set[JobId]:
        """Open jobs of which the events may not tell everything, so that somebody must look.

        Those of which events were missed, and rows of batches that have no record yet: a million
        of them may end at once, without a word of each.
        """
        return (self._missed | self._unfed) & self.open_jobs

    def snapshots(self, jobs: Iterable[Job]) -> Iterator[JobEvent]:
        """Give the present state of jobs, as read after *position*."""
        for job in jobs:
            self._note(job)
            yield _snapshot(job, self._position)

    def changes(self, events: Iterable[JobEvent]) -> Iterator[JobEvent]:
        """Give those events that are of jobs which have not ended."""
        for event in events:
            self._position = event.id
            if event.job in self.open_jobs:
                self._unfed.discard(event.job)
                if event.status.is_terminal:
                    self.open_jobs.discard(event.job)
                yield event

    def told(self, told: Iterable[Told]) -> Iterator[JobEvent]:
        """Give the same of what a watcher is told; if it has missed events, somebody must look."""
        for one in told:
            if one is LAGGED:
                self._missed |= self.open_jobs
                self.must_look = True
            else:
                yield from self.changes([one.event])

    def looked(self, jobs: Iterable[Job]) -> Iterator[JobEvent]:
        """Give what a look at doubted jobs tells that no event has told."""
        self.must_look = False
        for job in jobs:
            is_news = job.done or job.id in self._missed
            self._note(job)
            if is_news:
                yield _snapshot(job, self._position)

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


def _snapshot(job: Job, position: str) -> JobEvent:
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
        at=job.ended_at or job.started_at or job.created_at,
    )
