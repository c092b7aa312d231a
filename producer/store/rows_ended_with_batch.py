"""Rows that ended with their batch before they had a record: as one list by their end, the last first.

`comfyfleet:ended:<status>:batches` has one entry a batch, so that a million rows end by one; they are told by what is
left of the batch's packed rows.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from producer.contract.errors import UnreadableBatch
from producer.contract.filters.query import Filter
from producer.contract.ids import BatchId, JobId, row_id
from producer.store import keys, limits
from producer.store.batch_records import BatchRecord
from producer.store.batch_rows import bucket_of, unpack
from producer.store.connection import translated
from producer.store.job_lists import ended_with_batch
from producer.store.times import utc
from producer.store.unfed_rows import read_buckets
from producer.store.unreadable_batches import sense_of

if TYPE_CHECKING:
    from redis import Redis

#: Batches read in one round trip.
_BATCHES: Final = 20
#: Buckets read in one round trip.
_BUCKETS: Final = 5


class RowsEndedWithBatch:
    """Positions of such rows, as `EndedLists` has them.

    Args:
        wanted: what a batch must not contradict to be looked into.
    """

    def __init__(self, redis: Redis, status: str, wanted: Filter) -> None:
        self._redis = redis
        self._status = status
        self._wanted = wanted

    def after(self, after: str, count: int, *, since: str, until: str) -> list[str]:
        """Return up to *count* positions after one, '' for the first: when the row ended, ms, and its id.

        Args:
            since, until: bounds of the time of the end, ms.
        """
        ended, _, of_one = after.partition(" ")
        found: list[str] = []
        offset = 0
        while len(found) < count:
            with translated(self._redis):
                page: Any = self._redis.zrange(
                    ended_with_batch(self._status),
                    int(ended) if of_one else until,
                    since,
                    desc=True,
                    byscore=True,
                    offset=offset,
                    num=_BATCHES,
                    withscores=True,
                )
            for batch, score in page:
                before = of_one if of_one and int(score) == int(ended) else ""
                with suppress(UnreadableBatch):  # `check` tells of it; the others are well
                    rows = self._rows(BatchId(batch), score, before, count - len(found))
                    found += [f"{int(score):013d} {job_id}" for job_id in rows]
                if len(found) >= count:
                    break
            if len(page) < _BATCHES:
                break
            offset += len(page)
        return found

    def _rows(self, batch: BatchId, score: float, before: str, count: int) -> list[JobId]:
        """Return the last *count* rows of a batch whose ids lie before one."""
        with translated(self._redis):
            fields: Any = self._redis.hgetall(keys.batch(batch))
        record = BatchRecord(batch, fields)
        if not (
            fields.get("rest") == self._status and record.is_readable and self._fits(record, score)
        ):
            return []
        last = record.received
        while before and last > record.fed and row_id(batch, last) >= before:
            same = before[:-8] == batch[:-8]
            last = min(last, int(before[-8:], 16)) - 1 if same else record.fed
        return self._kept(record, last, count)

    def _kept(self, record: BatchRecord, last: int, count: int) -> list[JobId]:
        """Return rows up to *last* that are kept and have no record, the last first."""
        found: list[JobId] = []
        while last > record.fed and len(found) < count:
            number, _ = bucket_of(last)
            lowest, _ = bucket_of(record.fed + 1)
            numbers = range(max(lowest, number - _BUCKETS + 1), number + 1)
            buckets = read_buckets(self._redis, record.id, numbers)
            for bucket in reversed(numbers):
                first = bucket * limits.BUCKET_ROWS + 1
                with sense_of(record.id, "a row"):
                    rows = unpack(buckets[bucket]) if bucket in buckets else []
                found += [
                    row_id(record.id, row)
                    for row in range(
                        min(last, first + len(rows) - 1), max(first, record.fed + 1) - 1, -1
                    )
                    if rows[row - first] is not None
                ]
            last = numbers[0] * limits.BUCKET_ROWS
        return found[:count]

    def _fits(self, record: BatchRecord, score: float) -> bool:
        spec = record.spec
        facts = {
            "status": self._status,
            "cause": str(record.rest_cause),
            "node": None,
            "batch": record.id,
            "owner": spec.owner,
            "tier": str(spec.tier),
            "pool": spec.pool,
            "ended": utc(str(int(score))),
        }
        return self._wanted.holds(facts)
