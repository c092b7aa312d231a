"""Summary of the job records that a check has read: statuses by batch, queues in use, waiting jobs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from producer.contract.ids import JobId
from producer.contract.jobs import Job, JobStatus


@dataclass
class Waiting:
    """The jobs in one queue whose `waiting_for` is `capacity`: they wait for a free node."""

    first: Job  #: The one that has waited longest.
    since: datetime  #: When `first` was queued, UTC.
    jobs: set[JobId] = field(default_factory=set)

    @property
    def phrase(self) -> str:
        """The waiting jobs and their queue, as subject and verb of a sentence."""
        others = len(self.jobs) - 1
        more = f" and {others:,} more" if others else ""
        wait = "wait" if others else "waits"
        return f"job {self.first.id}{more} {wait} in queue {self.first.queue}"


@dataclass
class RecordSummary:
    """Where each job is. A scan may return a record twice; only `jobs` counts it twice then."""

    jobs: int = 0  #: Records read.
    unreadable: set[JobId] = field(default_factory=set)
    succeeded: set[JobId] = field(default_factory=set)
    batches: defaultdict[str, dict[JobId, JobStatus]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    #: How many packed rows of a batch ended how; their ids would take more room than they do.
    packed: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    torn: set[str] = field(default_factory=set)  #: Batches of which packed rows cannot be read.
    made_again: set[JobId] = field(default_factory=set)  #: Not counted: the retry counts instead.
    #: By job, the one that was made of it again, as its record has it.
    retries: dict[JobId, JobId] = field(default_factory=dict)
    queues: set[str] = field(default_factory=set)  #: Queues of jobs that have not ended.
    waiting: dict[str, Waiting] = field(default_factory=dict)
    owners: dict[JobId, tuple[str, JobStatus]] = field(default_factory=dict)  #: Of live jobs.

    def add(self, job: Job) -> None:
        """Add one record."""
        self.jobs += 1
        if job.batch:
            self.batches[job.batch][job.id] = job.status
        if job.retry_of:
            self.made_again.add(job.retry_of)
            self.retries[job.retry_of] = job.id
        if job.retried_as:
            self.made_again.add(job.id)
        if job.status is JobStatus.SUCCEEDED:
            self.succeeded.add(job.id)
        if not job.done:
            self.queues.add(job.queue)
        if job.owner and not job.done:
            self.owners[job.id] = (job.owner, job.status)
        else:
            self.owners.pop(job.id, None)
        if job.waiting_for == "capacity":
            self._add_waiting(job)

    def add_packed(
        self,
        batch: str,
        statuses: Mapping[JobId, JobStatus],
        *,
        retried: Collection[JobId],
        ids: bool,
    ) -> None:
        """Add some packed rows of a batch, after all records.

        Args:
            retried: those of them that were made again.
            ids: whether `succeeded` shall have theirs.
        """
        self.jobs += len(statuses)
        records = self.batches.get(batch, {})
        for job_id, status in statuses.items():
            records.pop(job_id, None)  # it was packed since it was read
            if job_id not in retried and job_id not in self.made_again:
                self.packed[batch][str(status)] += 1
            if ids and status is JobStatus.SUCCEEDED:
                self.succeeded.add(job_id)

    def of_owners(self, *, running: bool) -> Counter[str]:
        """Return how many jobs run, or wait, by their owner."""
        return Counter(
            owner
            for owner, status in self.owners.values()
            if (status is JobStatus.RUNNING) is running
        )

    def recount(self, batch: str) -> Counter[str]:
        """Return the number of a batch's jobs by status, as they were when read."""
        jobs = self.batches.get(batch, {})
        records = Counter(
            str(status) for job_id, status in jobs.items() if job_id not in self.made_again
        )
        return records + self.packed.get(batch, Counter())

    def ended(self, batch: str) -> Counter[str]:
        """Return `recount` for terminal statuses only: it changes no more, unless a job is retried."""
        return Counter(
            {
                status: n
                for status, n in self.recount(batch).items()
                if JobStatus(status).is_terminal
            }
        )

    def live(self, batch: str) -> list[JobId]:
        """Return the jobs of a batch that had not ended when they were read."""
        jobs = self.batches.get(batch, {})
        return [job_id for job_id, status in jobs.items() if not status.is_terminal]

    def _add_waiting(self, job: Job) -> None:
        since = job.queued_at or job.created_at
        waiting = self.waiting.setdefault(job.queue, Waiting(job, since))
        waiting.jobs.add(job.id)
        if since < waiting.since:
            waiting.first, waiting.since = job, since
