"""Unfed rows: jobs of sealed batches that have no record yet, found by what their ids say."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from producer.contract.errors import UnreadableBatch
from producer.contract.ids import BatchId, JobId, row_of
from producer.contract.jobs import Job
from producer.store import keys
from producer.store.batch_records import BatchRecord, submission_of
from producer.store.batch_rows import bucket_of, unpack, without
from producer.store.connection import replies_of, translated
from producer.store.records import fields_of, flat
from producer.store.scripts import Scripts
from producer.store.unreadable_batches import sense_of

if TYPE_CHECKING:
    from redis import Redis

#: What of a batch is read, in an error about it.
_ROWS: Final = "a row"
#: Buckets read in one round trip.
_AT_ONCE: Final = 50


class RowCancel(StrEnum):
    """What a request to cancel an unfed row met; two of them as `batch_row.lua` replies."""

    CANCELLED = "cancelled"
    ENDED = "ended"  #: Its batch was over before.
    MISSING = "missing"  #: No sealed batch has such a row any more.
    STALE = "stale"  #: It has got its record, or its bucket has changed: try again.


class UnfedRows:
    """The rows of sealed batches that still lie packed.

    Args:
        redis: connected with `decode_responses=True`.
        keep_ms: how long the record of a row that was cancelled is kept.
    """

    def __init__(self, redis: Redis, scripts: Scripts, *, keep_ms: int) -> None:
        self._redis = redis
        self._scripts = scripts
        self._keep_ms = keep_ms

    def find(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        """Return those of *job_ids* that are such rows, as the jobs they will be.

        Those of a batch that makes no sense are left out; `check` tells of them.
        """
        jobs: list[Job] = []
        for record, rows in self._by_batch(job_ids):
            with suppress(UnreadableBatch):
                jobs += self._jobs(record, rows)
        return {job.id: job for job in jobs}

    def check(self, job_ids: Sequence[JobId]) -> None:
        """Check that *job_ids*, where they are such rows, can be read.

        Raises:
            UnreadableBatch: the batch of one makes no sense.
        """
        for record, rows in self._by_batch(job_ids):
            self._jobs(record, rows)

    def _by_batch(self, job_ids: Sequence[JobId]) -> Iterator[tuple[BatchRecord, list[int]]]:
        rows: dict[BatchId, list[int]] = {}
        for job_id in job_ids:
            batch, row = row_of(job_id)
            rows.setdefault(batch, []).append(row)
        for batch, record in self._records(rows).items():
            yield record, rows[batch]

    def cancel(self, job_id: JobId) -> RowCancel:
        """Cancel one row."""
        found = self._found(job_id)
        if not isinstance(found, tuple):
            return found
        record, args, fields = found
        if "rest" in record.fields:
            return RowCancel.ENDED
        outcome: str = self._scripts.run(
            "batch_row",
            keys=[keys.batch(record.id), keys.rows(record.id)],
            args=[*args, self._keep_ms, *fields],
        )
        return RowCancel(outcome)

    def give_record(self, job_id: JobId) -> bool:
        """Give a row that ended with its batch a record of its own, as others have; False if it is no such row."""
        found = self._found(job_id)
        if not isinstance(found, tuple) or "rest" not in found[0].fields:
            return False
        record, args, fields = found
        outcome = self._scripts.run(
            "row_record",
            keys=[keys.batch(record.id), keys.rows(record.id)],
            args=[*args, record.rest_cause, *fields],
        )
        return bool(outcome == "done")

    def _found(self, job_id: JobId) -> tuple[BatchRecord, list[Any], list[Any]] | RowCancel:
        """Return a row's batch, where it lies there, as scripts take it, and the fields of its record."""
        batch, row = row_of(job_id)
        record = self._records([batch]).get(batch)
        if record is None or not record.has(row):
            return RowCancel.MISSING
        if row <= record.fed:
            return RowCancel.STALE
        number, index = bucket_of(row)
        data = self._buckets(batch, [number]).get(number)
        with sense_of(batch, _ROWS):
            packed = unpack(data)[index] if data else None
            if data is None or packed is None:
                return RowCancel.MISSING
            submission = submission_of(record, row, packed, record.spec, record.places)
            where = [batch, job_id, row, _digest(data), number, without(data, index)]
            return record, where, flat(fields_of(submission))

    def _jobs(self, record: BatchRecord, wanted: Sequence[int]) -> list[Job]:
        rows = [row for row in wanted if record.has(row) and row > record.fed]
        if not rows:
            return []
        spec, places, jobs = record.spec, record.places, []
        numbers = sorted({bucket_of(row)[0] for row in rows})
        for start in range(0, len(numbers), _AT_ONCE):
            buckets = self._buckets(record.id, numbers[start : start + _AT_ONCE])
            with sense_of(record.id, _ROWS):
                found = {number: unpack(data) for number, data in buckets.items()}
                for row in rows:
                    number, index = bucket_of(row)
                    if number in found and (packed := found[number][index]):
                        jobs.append(record.job(row, packed, spec, places))
        return jobs

    def _records(self, batches: Collection[BatchId]) -> Mapping[BatchId, BatchRecord]:
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for batch in batches:
                pipe.hgetall(keys.batch(batch))
            found = zip(batches, replies_of(pipe), strict=True)
        return {
            batch: BatchRecord(batch, fields)
            for batch, fields in found
            if isinstance(fields, dict) and "spec" in fields  # not a key of another type
        }

    def _buckets(self, batch: BatchId, numbers: Sequence[int]) -> dict[int, bytes]:
        return read_buckets(self._redis, batch, numbers)


def _digest(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def read_buckets(redis: Redis, batch: BatchId, numbers: Sequence[int]) -> dict[int, bytes]:
    """Read buckets of a batch as they are packed; those that are gone are left out."""
    if not numbers:
        return {}
    with translated(redis), redis.pipeline(transaction=False) as pipe:
        for number in numbers:
            pipe.execute_command(  # type: ignore[no-untyped-call]
                "HGET", keys.rows(batch), number, NEVER_DECODE=True
            )
        found: list[Any] = pipe.execute()
    return {number: data for number, data in zip(numbers, found, strict=True) if data is not None}
