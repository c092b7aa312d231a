"""Torn rows: makes a bucket of packed rows again from the results of their batch in the object storage."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from producer.contract.ids import BatchId
from producer.contract.jobs import Job
from producer.storage.batch_results import BatchResults
from producer.store import limits
from producer.store.ended_buckets import pack_ended
from producer.store.ended_rows import EndedBucket
from producer.store.packed_rows_audit import PackedRowsAudit
from producer.store.rebuilt_records import record_of
from producer.store.records import job_of


class TornRows:
    """Repairs what can be repaired of packed rows that cannot be read."""

    def __init__(self, audit: PackedRowsAudit, results: BatchResults) -> None:
        self._audit = audit
        self._results = results

    def mend(self, bucket: EndedBucket) -> int:
        """Put a whole bucket in place of a torn one and return how many rows it has.

        Left out are rows that were made again, as results tell the newest job only, and such of which the bucket
        has no results, or cannot tell all. Nothing is done if there are none, or the bucket is another one by now.

        Raises:
            StorageError: the results could not be read.
        """
        first, last = bucket.rows
        number = (first - 1) // limits.RESULT_ROWS + 1
        records = {}
        for line in self._results.get_results(BatchId(bucket.batch), number):
            row, job = self._results.job_of(line)
            index = row - first
            is_there = first <= row <= last and job.id == bucket.id_of(index)
            if is_there and (record := _record_of(job)):
                records[index] = record
        if not records:
            return 0
        whole = pack_ended(records, bucket.id_of)
        return len(records) if self._audit.replace(bucket, whole) else 0


def _record_of(job: Job) -> Mapping[str, str] | None:
    """Return the record of an ended job; None if it would not be read as that job again."""
    made = {
        **record_of(job),
        "cause": job.cause or "",
        **({"error": job.error.model_dump_json(exclude_none=True)} if job.error else {}),
        **({"cancel": 1} if job.cancel_requested else {}),
    }
    record = {name: str(value) for name, value in made.items()}
    try:
        again = job_of(job.id, {**record, "batch": job.batch or ""})
    except (ValueError, TypeError, KeyError, ValidationError):
        return None
    return record if again == job else None
