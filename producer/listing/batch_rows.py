"""The rows of batches as a source of jobs: in their order, each as the newest job that was made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from producer.contract.filters.query import Filter
from producer.contract.ids import row_id
from producer.store.batch_records import BatchRecord
from producer.store.job_facts import predicate_of
from producer.store.job_sources import Chunk
from producer.store.job_store import JobStore
from producer.store.newest_jobs import newest

#: Rows that are read in one go: they lie packed, or have records.
_AT_ONCE: Final = 500


class BatchRows:
    """Rows of batches, one batch after the other.

    Args:
        batches: sealed ones.
    """

    def __init__(self, store: JobStore, batches: Sequence[BatchRecord], wanted: Filter) -> None:
        self._store = store
        self._batches = batches
        self._wanted = wanted

    def read(self, after: str, count: int) -> Chunk:
        """Return the next rows of one batch; a position is the batch's place and the row."""
        place, row = (int(part) for part in after.split()) if after else (0, 0)
        while place < len(self._batches) and self._is_over(self._batches[place], row):
            place, row = place + 1, 0
        if place >= len(self._batches):
            return Chunk([], is_last=True)
        batch = self._batches[place]
        rows = range(row + 1, min(row + min(count, _AT_ONCE), batch.received) + 1)
        jobs = newest(self._store, [row_id(batch.id, number) for number in rows])
        self._store.check_unfed(
            [row_id(batch.id, number) for number, job in zip(rows, jobs, strict=True) if not job]
        )
        answers = predicate_of(self._wanted)
        entries = [
            (f"{place} {number}", job if job and answers(job) else None)
            for number, job in zip(rows, jobs, strict=True)
        ]
        is_last = place == len(self._batches) - 1 and rows[-1] == batch.received
        return Chunk(entries, is_last=is_last)

    def _is_over(self, batch: BatchRecord, row: int) -> bool:
        return row >= batch.received or not self._may_have_any(batch)

    def _may_have_any(self, batch: BatchRecord) -> bool:
        """Tell by its counts whether any row may have a status that is wanted."""
        wanted: set[str] = set(self._wanted.statuses)
        if wanted & {"queued", "held"}:
            wanted.add("waiting")
        return any(batch.number(status) for status in wanted)
