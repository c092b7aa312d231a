"""Batch audit for `comfyfleet check`: compares counts, rows and the list of batches to feed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from producer.contract.ids import BatchId
from producer.store import keys
from producer.store.batch_records import BatchRecord
from producer.store.batch_rows import bucket_of, unpack
from producer.store.connection import translated
from producer.store.record_reader import in_pages
from producer.store.scripts import Scripts
from producer.store.unfed_rows import read_buckets

if TYPE_CHECKING:
    from redis import Redis

#: Batches, or buckets of one, read in a round trip.
_AT_ONCE: Final = 100


class BatchAudit:
    """Reads every sealed batch, and repairs disagreements that one script can repair.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, scripts: Scripts) -> None:
        self._redis = redis
        self._scripts = scripts

    def sealed(self) -> Iterator[BatchRecord]:
        """Yield every sealed batch that has a record."""
        with translated(self._redis):
            found: Any = self._redis.zrange(keys.BATCHES, 0, -1)
            for page in in_pages(found, _AT_ONCE):
                with self._redis.pipeline(transaction=False) as pipe:
                    for batch in page:
                        pipe.hgetall(keys.batch(batch))
                    records = pipe.execute()
                for batch, fields in zip(page, records, strict=True):
                    if "sealed_ms" in fields:
                        yield BatchRecord(BatchId(batch), fields)

    def to_feed(self, record: BatchRecord) -> int | None:
        """Return the number of rows that are still to be fed; None if some of them are lost."""
        if "rest" in record.fields or record.fed == record.received:
            return 0
        first, index = bucket_of(record.fed + 1)
        count = 0
        for page in in_pages(range(first, record.number("buckets")), _AT_ONCE):
            buckets = read_buckets(self._redis, record.id, page)
            if len(buckets) < len(page):
                return None
            for number, data in buckets.items():
                rows = unpack(data)[index if number == first else 0 :]
                count += sum(row is not None for row in rows)
        return count

    def mend(self, record: BatchRecord, to_feed: int, *, mend: bool) -> list[tuple[str, int, int]]:
        """Find disagreements of a sealed batch, and repair them if *mend*.

        Returns:
            Fault, count and recount, as `mend_batch.lua` lists them.
        """
        reply: list[list[Any]] = self._scripts.run(
            "mend_batch",
            keys=[keys.batch(record.id)],
            args=[record.id, int(mend), to_feed, record.fed, record.number("edits")],
        )
        return [(str(fault), int(found), int(recount)) for fault, found, recount in reply]

    def waiting(self, *, mend: bool) -> tuple[int, int]:
        """Return the stored number of all waiting rows and the sum over batches; repair it if *mend*."""
        found, recount = self._scripts.run("mend_waiting", args=[int(mend)])
        return int(found), int(recount)
