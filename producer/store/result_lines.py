"""Result lines of a batch, in the order of its rows: read by the bucket where rows are packed, else by their jobs."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from producer.contract.ids import BatchId, row_id
from producer.contract.jobs import JobStatus
from producer.contract.result_lines import line_of, line_text
from producer.store import limits
from producer.store.ended_buckets import TornBucket
from producer.store.ended_lines import EndedLines
from producer.store.ended_rows import EndedBucket, read_ended_buckets
from producer.store.job_store import JobStore
from producer.store.newest_jobs import newest

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)

#: Rows that are read together.
_ROWS_AT_ONCE: Final = 1_000


class ResultLines:
    """The rows of batches, each with the newest job that was made of it, as JSON.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, jobs: JobStore) -> None:
        self._redis = redis
        self._jobs = jobs

    def of(
        self, batch: BatchId, rows: range, statuses: Collection[JobStatus]
    ) -> Iterator[tuple[int, str]]:
        """Yield (row, line) for those of *rows* whose newest job is in one of *statuses*.

        Left out are rows that were skipped, and jobs whose record has expired. Memory does not grow with the rows.
        """
        for start in range(rows.start, rows.stop, _ROWS_AT_ONCE):
            page = range(start, min(start + _ROWS_AT_ONCE, rows.stop))
            lines = self._packed(batch, page, statuses)
            missing = [row for row in page if row not in lines]
            lines |= self._of_jobs(batch, missing, statuses)
            yield from ((row, line) for row in page if (line := lines.get(row)))

    def _packed(
        self, batch: BatchId, rows: range, statuses: Collection[JobStatus]
    ) -> dict[int, str | None]:
        """Return the lines of rows that are packed and were not made again; None for one that is not wanted."""
        lines: dict[int, str | None] = {}
        first, last = ((row - 1) // limits.BUCKET_ROWS for row in (rows[0], rows[-1]))
        places = [(batch, number) for number in range(first, last + 1)]
        for bucket in read_ended_buckets(self._redis, places):
            try:
                lines |= _lines_of(bucket, statuses)
            except TornBucket as exc:
                _log.warning("ended rows of batch %s cannot be read: %s", batch, exc)
        return lines

    def _of_jobs(
        self, batch: BatchId, rows: Sequence[int], statuses: Collection[JobStatus]
    ) -> dict[int, str | None]:
        jobs = newest(self._jobs, [row_id(batch, row) for row in rows])
        return {
            row: line_text(line_of(row, job))
            for row, job in zip(rows, jobs, strict=True)
            if job and job.status in statuses
        }


def _lines_of(bucket: EndedBucket, statuses: Collection[JobStatus]) -> dict[int, str | None]:
    ended = {row: status for row, status in bucket.ended() if str(row) not in bucket.made_again}
    wanted = set(statuses) & set(ended.values())
    lines = dict(EndedLines(bucket).of(wanted)) if wanted else {}
    return {row: lines.get(row) for row in ended}
