"""The jobs that a batch's rows have come to: of one made again, the newest."""

from __future__ import annotations

from collections.abc import Sequence

from producer.contract.ids import JobId
from producer.contract.jobs import Job
from producer.store.job_store import JobStore


def newest(store: JobStore, job_ids: Sequence[JobId]) -> list[Job | None]:
    """Return each job, or the newest one that was made of it; None for one that is not there."""
    jobs = store.find(job_ids)
    stands_for = {job_id: job_id for job_id in job_ids}
    while made := {
        job_id: job.retried_as
        for job_id, now in stands_for.items()
        if (job := jobs.get(now)) and job.retried_as
    }:
        found = store.find(list(made.values()))
        if not found:  # their records have expired; the old ones say what is known
            break
        jobs |= found
        stands_for |= {job_id: now for job_id, now in made.items() if now in found}
    return [jobs.get(stands_for[job_id]) for job_id in job_ids]
