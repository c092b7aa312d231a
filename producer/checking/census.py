"""What a walk over all records adds up to."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from producer.contract.ids import JobId
from producer.contract.jobs import Job, JobStatus


@dataclass
class Waiting:
    """The jobs that wait in one queue for a node to be free."""

    first: Job  #: The one that has waited longest.
    since: datetime
    jobs: set[JobId] = field(default_factory=set)

    @property
    def phrase(self) -> str:
        """Who waits, as the subject of a sentence."""
        others = len(self.jobs) - 1
        more = f" and {others:,} more" if others else ""
        wait = "wait" if others else "waits"
        return f"job {self.first.id}{more} {wait} in queue {self.first.queue}"


@dataclass
class Census:
    """Who is where. Records that were seen twice count once."""

    jobs: int = 0
    unreadable: set[JobId] = field(default_factory=set)
    succeeded: set[JobId] = field(default_factory=set)
    batches: defaultdict[str, dict[JobId, JobStatus]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    made_again: set[JobId] = field(default_factory=set)  #: Their retries count in their place.
    queues: set[str] = field(default_factory=set)  #: Of jobs that have not ended.
    waiting: dict[str, Waiting] = field(default_factory=dict)

    def add(self, job: Job) -> None:
        """Count one record."""
        self.jobs += 1
        if job.batch:
            self.batches[job.batch][job.id] = job.status
        if job.retry_of:
            self.made_again.add(job.retry_of)
        if job.retried_as:
            self.made_again.add(job.id)
        if job.status is JobStatus.SUCCEEDED:
            self.succeeded.add(job.id)
        if not job.done:
            self.queues.add(job.queue)
        if job.waiting_for == "capacity":
            self._add_waiting(job)

    def recount(self, batch: str) -> Counter[str]:
        """Return how many jobs of a batch have which status, as far as the walk saw."""
        jobs = self.batches.get(batch, {})
        return Counter(
            str(status) for job_id, status in jobs.items() if job_id not in self.made_again
        )

    def ended(self, batch: str) -> Counter[str]:
        """Return the part of `recount` that stays as it is, but for jobs that are made again."""
        return Counter(
            {
                status: n
                for status, n in self.recount(batch).items()
                if JobStatus(status).is_terminal
            }
        )

    def live(self, batch: str) -> list[JobId]:
        """Return the jobs of a batch that had not ended when the walk came by."""
        jobs = self.batches.get(batch, {})
        return [job_id for job_id, status in jobs.items() if not status.is_terminal]

    def _add_waiting(self, job: Job) -> None:
        since = job.queued_at or job.created_at
        waiting = self.waiting.setdefault(job.queue, Waiting(job, since))
        waiting.jobs.add(job.id)
        if since < waiting.since:
            waiting.first, waiting.since = job, since
