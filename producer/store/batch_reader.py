"""Reads batches: one, the newest, and how many rows an owner's open ones have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from producer.contract.batches import Batch
from producer.contract.errors import BatchNotFound, KeyOfAnotherType
from producer.contract.ids import BatchId
from producer.store import keys
from producer.store.batch_records import BatchRecord, read_batch
from producer.store.connection import replies_of, translated

if TYPE_CHECKING:
    from redis import Redis

#: Batches that are read together, and that are looked at for those of one owner.
_PAGE: Final = 500
_LOOKED_AT: Final = 1_000


class BatchReader:
    """What can be read of batches.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def get(self, batch: BatchId) -> Batch:
        """Read one batch.

        Raises:
            BatchNotFound: there is none, or its record has expired.
            KeyOfAnotherType: a field of it makes no sense.
        """
        return read_batch(self.record(batch))

    def record(self, batch: BatchId) -> BatchRecord:
        """Read one batch as the store keeps it; raise BatchNotFound when there is none."""
        [record] = self._records([batch])
        if record is None:
            raise BatchNotFound(batch)
        return record

    def newest(self, limit: int, *, owner: str | None = None) -> list[Batch]:
        """Return up to *limit* batches, the newest first; one that cannot be read is passed over.

        Args:
            owner: only this one's. Those that the version before opened are among the newest 1,000 of all, or not given;
                so are those of the default owner, which has no list.
        """
        if owner is None:
            return self._newest(0, max(1, limit))
        found = {batch.id: batch for batch in self._newest(0, limit, owner=owner)} if owner else {}
        for start in range(0, _LOOKED_AT, _PAGE):
            if len(found) >= limit:
                break
            page = self._newest(start, _PAGE)
            found |= {batch.id: batch for batch in page if batch.owner == owner}
            if not page:
                break
        return sorted(found.values(), key=lambda batch: batch.created_at, reverse=True)[:limit]

    def open_rows(self, owner: str) -> int:
        """Return how many rows the open batches of an owner have; those of the default owner are not known."""
        with translated(self._redis):
            found: Any = self._redis.zrange(f"{keys.OPEN_BATCHES}{owner}", 0, -1) if owner else []
        records = (record for record in self._records(found) if record)
        return sum(record.received for record in records if record.is_open)

    def _newest(self, start: int, count: int, *, owner: str = "") -> list[Batch]:
        with translated(self._redis):
            key = f"{keys.BATCHES}:{owner}" if owner else keys.BATCHES
            found: Any = self._redis.zrange(key, start, start + count - 1, desc=True)
        batches = (_read(record) for record in self._records(found) if record)
        return [batch for batch in batches if batch]

    def _records(self, batches: Sequence[BatchId]) -> list[BatchRecord | None]:
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for batch in batches:
                pipe.hgetall(keys.batch(batch))
            found = replies_of(pipe)  # a key of another type is no batch
        return [
            # Jobs may name a batch that was never opened; that has counts, and nothing else.
            BatchRecord(batch, fields) if isinstance(fields, dict) and "spec" in fields else None
            for batch, fields in zip(batches, found, strict=True)
        ]


def _read(record: BatchRecord) -> Batch | None:
    """Return what a reader sees; None if a newer version wrote it, or it makes no sense."""
    try:
        return read_batch(record) if record.is_readable else None
    except KeyOfAnotherType:
        return None
