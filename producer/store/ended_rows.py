"""Ended rows: jobs of batches whose records are packed, found by what their ids say."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from producer.contract.ids import BatchId, JobId, row_id, row_of
from producer.contract.jobs import Job, JobStatus
from producer.contract.json_texts import read_json
from producer.store import keys, limits
from producer.store.connection import replies_of, translated
from producer.store.ended_buckets import TornBucket, statuses_of
from producer.store.ended_columns import unpack_ended
from producer.store.records import job_of

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)

#: Buckets read in one round trip.
_AT_ONCE: Final = 20


@dataclass(frozen=True)
class EndedBucket:
    """A bucket of ended rows as Redis keeps it.

    Args:
        made_again: by row, the job that was made of it again.
        note: what tells `made_again`, as it is.
        is_note_torn: whether it tells nothing that makes sense; `made_again` is empty then.
    """

    batch: BatchId
    number: int
    data: bytes
    made_again: dict[str, str]
    note: bytes | None = None
    is_note_torn: bool = False

    @property
    def rows(self) -> tuple[int, int]:
        """Its first row and its last."""
        first = self.number * limits.BUCKET_ROWS + 1
        return first, first + limits.BUCKET_ROWS - 1

    def id_of(self, index: int) -> JobId:
        """Return the job id of the row at an index."""
        return row_id(self.batch, self.number * limits.BUCKET_ROWS + index + 1)

    def statuses(self) -> dict[JobId, JobStatus]:
        """Return how its rows ended; of one that was made again as well.

        Raises:
            TornBucket: it is not what was written.
        """
        return {self.id_of(index): status for index, status in statuses_of(self.data).items()}

    @property
    def ids(self) -> list[JobId]:
        """The job ids of all rows that may be here."""
        return [self.id_of(index) for index in range(limits.BUCKET_ROWS)]

    def ended(self) -> list[tuple[int, JobStatus]]:
        """Return the number of each row that is here, and how it ended.

        Raises:
            TornBucket: it is not what was written.
        """
        first, _ = self.rows
        return [(first + index, status) for index, status in statuses_of(self.data).items()]

    @property
    def retried(self) -> set[JobId]:
        """Its rows that were made again."""
        return {row_id(self.batch, int(row)) for row in self.made_again}

    def jobs(self, wanted: Collection[int] | None = None) -> dict[JobId, Job]:
        """Return the jobs at these indexes, or all, as their records had it.

        Raises:
            TornBucket: it makes no sense.
        """
        records = unpack_ended(self.data, self.id_of, wanted=wanted)
        return {
            self.id_of(index): self.job_of(self.id_of(index), record)
            for index, record in records.items()
        }

    def job_of(self, job_id: JobId, record: dict[str, str]) -> Job:
        """Return the job of a row by what was packed of its record.

        Raises:
            TornBucket: it makes no sense.
        """
        record["batch"] = self.batch
        if made := self.made_again.get(str(row_of(job_id)[1])):
            record["retried_as"] = made
        try:
            return job_of(job_id, record)
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as exc:
            raise TornBucket(f"the record of job {job_id} makes no sense: {exc}") from exc


def find_ended_rows(redis: Redis, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
    """Return those of *job_ids* that are such rows; of a bucket that is torn none, which is logged."""
    wanted: dict[tuple[BatchId, int], set[int]] = {}
    for job_id in job_ids:
        batch, row = _row_of(job_id)
        if row:
            number, index = divmod(row - 1, limits.BUCKET_ROWS)
            wanted.setdefault((batch, number), set()).add(index)
    found: dict[JobId, Job] = {}
    for bucket in read_ended_buckets(redis, list(wanted)):
        try:
            found |= bucket.jobs(wanted[(bucket.batch, bucket.number)])
        except TornBucket as exc:
            _log.warning("ended rows of batch %s cannot be read: %s", bucket.batch, exc)
    return found


def rows_made_again(redis: Redis, job_ids: Sequence[JobId]) -> dict[JobId, JobId]:
    """Return those of *job_ids* that are packed rows, or were, and the job that was made of each again."""
    rows = {job_id: _row_of(job_id) for job_id in job_ids}
    places = {(batch, (row - 1) // limits.BUCKET_ROWS) for batch, row in rows.values() if row}
    made = {
        (bucket.batch, int(row)): JobId(new)
        for bucket in read_ended_buckets(redis, sorted(places))
        for row, new in bucket.made_again.items()
    }
    return {job_id: made[place] for job_id, place in rows.items() if place in made}


def flaw_of_row(redis: Redis, job_id: JobId) -> str | None:
    """Return why a packed row cannot be read; None if it is none, or can."""
    batch, row = _row_of(job_id)
    number, index = divmod(row - 1, limits.BUCKET_ROWS)
    for bucket in read_ended_buckets(redis, [(batch, number)] if row else []):
        try:
            bucket.jobs({index})
        except TornBucket as exc:
            first, last = bucket.rows
            return f"rows {first:,} to {last:,} of its batch are packed, and {exc}"
    return None


def read_ended_buckets(
    redis: Redis, places: Sequence[tuple[BatchId, int]]
) -> Iterator[EndedBucket]:
    """Give the buckets of ended rows that are there; a key of another type holds none."""
    for start in range(0, len(places), _AT_ONCE):
        page = places[start : start + _AT_ONCE]
        with translated(redis), redis.pipeline(transaction=False) as pipe:
            for batch, number in page:
                pipe.execute_command(  # type: ignore[no-untyped-call]
                    *("HMGET", keys.ended_rows(batch), number, f"{number}:again"),
                    NEVER_DECODE=True,
                )
            replies: list[Any] = replies_of(pipe)
        for (batch, number), reply in zip(page, replies, strict=True):
            if isinstance(reply, list) and reply[0] is not None:
                made = _made_again(reply[1])
                yield EndedBucket(batch, number, reply[0], made or {}, reply[1], made is None)


def _row_of(job_id: JobId) -> tuple[BatchId, int]:
    try:
        return row_of(job_id)
    except ValueError:
        return BatchId(""), 0  # an index may name what is no id at all


def _made_again(text: bytes | None) -> dict[str, str] | None:
    """Return the jobs that rows were made again as, by row; None if that cannot be read."""
    try:
        made = read_json(text) if text is not None else {}
    except ValueError:
        return None
    is_one = isinstance(made, dict) and all(
        row.isdecimal() and isinstance(job, str) for row, job in made.items()
    )
    return made if is_one else None
