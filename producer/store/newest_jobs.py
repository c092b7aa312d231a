"""Results of a batch: the job of each row, or its newest retry."""

from __future__ import annotations

from collections.abc import Sequence

from producer.contract.ids import JobId
from producer.contract.jobs import Job
from producer.store.job_store import JobStore


def newest(store: JobStore, job_ids: Sequence[JobId]) -> list[Job | None]:
    """Return each job, or its newest retry whose record exists, in the order of *job_ids*; None without a record."""
    jobs = store.find(job_ids)
    stands_for = {job_id: job_id for job_id in job_ids}
    if lost := [job_id for job_id in job_ids if job_id not in jobs]:
        # A row that was torn out of its bucket may have been made again all the same.
        again = store.made_again(lost)
        stands_for |= again
        jobs |= store.find(list(again.values()))
    while made := {
        job_id: job.retried_as
        for job_id, now in stands_for.items()
        if (job := jobs.get(now)) and job.retried_as
    }:
        found = store.find(list(made.values()))
        if not found:  # their records have expired: the older ones are returned
            break
        jobs |= found
        stands_for |= {job_id: now for job_id, now in made.items() if now in found}
    return [jobs.get(stands_for[job_id]) for job_id in job_ids]
