"""Which results of batches are still to be written to the bucket, a thousand rows a file."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from producer.contract.ids import BatchId, row_id
from producer.contract.jobs import JobStatus
from producer.store import keys, limits
from producer.store.connection import translated
from producer.store.ended_buckets import ABSENT, TornBucket, letters_of
from producer.store.ended_rows import read_ended_buckets
from producer.store.job_store import JobStore
from producer.store.newest_jobs import newest
from producer.store.result_lines import ResultLines
from producer.store.scripts import Scripts
from producer.store.times import to_ms

if TYPE_CHECKING:
    from redis import Redis

_AGAIN: Final = re.compile(r"(\d+)@(\d+)")
#: Batches that are looked at in one go.
_AT_ONCE: Final = 5
#: Who was interrupted, or met a bucket that is away, tries again after so long.
_AGAIN_AFTER: Final = timedelta(seconds=30)


@dataclass(frozen=True)
class ResultFile:
    """A file of results whose rows have all ended.

    Args:
        number: from 1.
        rewritten: what this writing settles of `results_again`; '' for nothing.
        was_there: it was written before, and a row of it was made again since.
    """

    batch: BatchId
    number: int
    rewritten: str
    was_there: bool

    @property
    def rows(self) -> range:
        """The numbers of its rows, as far as a batch has them."""
        first = (self.number - 1) * limits.RESULT_ROWS + 1
        return range(first, first + limits.RESULT_ROWS)


class ResultFiles:
    """The store as whoever writes results sees it.

    Args:
        after: how long a batch that has ended, and of which no row was packed since, is left alone.
    """

    def __init__(self, redis: Redis, scripts: Scripts, jobs: JobStore, *, after: timedelta) -> None:
        self._redis = redis
        self._scripts = scripts
        self._jobs = jobs
        self._after_ms = to_ms(after)

    def due(self) -> list[tuple[BatchId, str]]:
        """Return some batches of which results may have to be written, each with a mark for `leave`."""
        found: list[list[str]] = self._scripts.run(
            "results_due", args=[self._after_ms, to_ms(_AGAIN_AFTER), _AT_ONCE]
        )
        return [(BatchId(batch), mark) for batch, mark in found]

    def next_file(self, batch: BatchId) -> ResultFile | None:
        """Return a file to be written now; None if there is none."""
        with translated(self._redis):
            fields: Any = self._redis.hmget(
                keys.batch(batch), ["received", "results", "results_again"]
            )
        received, done = (int(field or 0) for field in fields[:2])
        again = {
            int(number): f"{number}@{mark}" for number, mark in _AGAIN.findall(fields[2] or "")
        }
        written = [number for number in again if number <= done]
        new = [done + 1] if done * limits.RESULT_ROWS < received else []
        for number in [*new, *written]:
            file = ResultFile(batch, number, again.get(number, ""), was_there=number <= done)
            if self._has_ended(file, received):
                return file
        return None

    def lines(self, file: ResultFile) -> dict[int, str]:
        """Return the rows of a file that there are, each with the line of the newest job that was made of it."""
        lines = ResultLines(self._redis, self._jobs)
        return dict(lines.of(file.batch, file.rows, list(JobStatus)))

    def written(self, file: ResultFile) -> None:
        """Note that a file is there."""
        self._scripts.run(
            "results_written", keys=[keys.batch(file.batch)], args=[file.number, file.rewritten]
        )

    def leave(self, batch: BatchId, mark: str) -> None:
        """Look at a batch no more until another row of it has ended."""
        self._scripts.run("results_left", args=[batch, mark])

    def _has_ended(self, file: ResultFile, received: int) -> bool:
        """Tell whether all rows of a file have ended, without reading those that are packed."""
        packed = self._packed(file)
        rows = range(file.rows.start, min(file.rows.stop, received + 1))
        others = [row_id(file.batch, row) for row in rows if row not in packed]
        return all(job.done for job in newest(self._jobs, others) if job)

    def _packed(self, file: ResultFile) -> set[int]:
        """Return the rows of a file that are packed, but for those that were made again."""
        first = (file.rows.start - 1) // limits.BUCKET_ROWS
        places = [
            (file.batch, first + number)
            for number in range(limits.RESULT_ROWS // limits.BUCKET_ROWS)
        ]
        packed: set[int] = set()
        for bucket in read_ended_buckets(self._redis, places):
            with suppress(TornBucket):  # its rows are left out; a check names it
                letters = letters_of(bucket.data)
                rows = enumerate(letters, bucket.rows[0])
                packed.update(row for row, letter in rows if letter != ABSENT)
            packed -= set(map(int, bucket.made_again))
        return packed
