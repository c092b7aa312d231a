"""Batch audit for `comfyfleet check`: compares counts, rows and the list of batches to feed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from producer.contract.batches import BatchCounts
from producer.contract.errors import KeyOfAnotherType
from producer.contract.ids import BatchId
from producer.store import keys
from producer.store.batch_records import BatchRecord
from producer.store.batch_rows import bucket_of, unpack
from producer.store.connection import replies_of, translated
from producer.store.counts import count_of, shown
from producer.store.record_reader import in_pages
from producer.store.scripts import Scripts
from producer.store.unfed_rows import read_buckets
from producer.store.unreadable_batches import SENSELESS

if TYPE_CHECKING:
    from redis import Redis

#: Batches, or buckets of one, read in a round trip.
_AT_ONCE: Final = 100


class TornBatch(Exception):
    """There is something in place of a batch, or of its rows, that makes no sense.

    Args:
        record: the fields that are there, if it is a hash.
    """

    def __init__(self, batch: str, flaw: str, record: BatchRecord | None = None) -> None:
        super().__init__(flaw)
        self.batch = batch
        self.record = record


class BatchAudit:
    """Reads every sealed batch, and repairs disagreements that one script can repair.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, scripts: Scripts) -> None:
        self._redis = redis
        self._scripts = scripts
        self._unlisted: list[str] = []

    def unlisted(self, batches: Collection[str], *, mend: bool) -> list[str]:
        """Return those of *batches* that the list of batches lacks, and list them again if *mend*.

        From now on they are looked at like the others: what is not listed is not gone.
        """
        self._unlisted = [
            batch
            for page in in_pages(batches, _AT_ONCE)
            for batch in self._scripts.run("list_batches", args=[int(mend), *page])
        ]
        return self._unlisted

    def sealed(self) -> Iterator[BatchRecord | TornBatch]:
        """Yield every sealed batch that has a record, and what stands in place of one."""
        with translated(self._redis):
            found: Any = self._redis.zrange(keys.BATCHES, 0, -1)
            for page in in_pages(dict.fromkeys([*found, *self._unlisted]), _AT_ONCE):
                with self._redis.pipeline(transaction=False) as pipe:
                    for batch in page:
                        pipe.hgetall(keys.batch(batch))
                    records = replies_of(pipe)
                for batch, fields in zip(page, records, strict=True):
                    if isinstance(fields, Exception):
                        yield TornBatch(batch, "a key of another type than a hash")
                    elif "sealed_ms" in fields:
                        yield _read(BatchRecord(BatchId(batch), fields))

    def waiting_rows(self) -> Iterator[tuple[str, int | None]]:
        """Yield owner and number of waiting rows of every sealed batch; None where that is no number."""
        for found in self.sealed():
            record = found.record if isinstance(found, TornBatch) else found
            if record is not None:
                yield record.fields.get("owner", ""), count_of(record.fields.get("waiting"))

    def to_feed(self, record: BatchRecord) -> int | None:
        """Return the number of rows that are still to be fed; None if some of them are lost.

        Raises:
            TornBatch: its rows are there, and make no sense.
        """
        with _sense_in(record.id):
            return self._to_feed(record)

    def _to_feed(self, record: BatchRecord) -> int | None:
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

    def mend(
        self, record: BatchRecord, to_feed: int, *, mend: bool
    ) -> list[tuple[str, int | str, int]]:
        """Find disagreements of a sealed batch, and repair them if *mend*.

        Returns:
            Fault, count, or what else stands there, and recount, as `mend_batch.lua` lists them.
        """
        reply: list[list[Any]] = self._scripts.run(
            "mend_batch",
            keys=[keys.batch(record.id)],
            args=[record.id, int(mend), to_feed, record.fed, record.fields.get("edits", "0")],
        )
        return [(str(fault), shown(found), int(recount)) for fault, found, recount in reply]

    def waiting(self, *, mend: bool) -> tuple[int | str, int]:
        """Return the stored number of all waiting rows and the sum over batches; repair it if *mend*."""
        found, recount = self._scripts.run("mend_waiting", args=[int(mend), *self._unlisted])
        return shown(found), int(recount)


def _read(record: BatchRecord) -> BatchRecord | TornBatch:
    """Return the record; what its flaw is, if it cannot be read though its counts of jobs were numbers."""
    torn = [name for name in BatchCounts.model_fields if count_of(record.fields.get(name)) is None]
    try:
        with _sense_in(record.id):
            whole = replace(record, fields={**record.fields, **dict.fromkeys(torn, "0")})
            whole.to_batch(), whole.places, whole.shapes  # what cannot be read raises
    except TornBatch as exc:
        return TornBatch(exc.batch, str(exc), record)
    return record


@contextmanager
def _sense_in(batch: str) -> Iterator[None]:
    try:
        yield
    except KeyOfAnotherType as exc:
        flaw = "its rows are a key of another type than a hash"
        if isinstance(exc.__cause__, SENSELESS):
            flaw = _told(exc.__cause__)
        raise TornBatch(batch, flaw) from exc
    except SENSELESS as exc:
        raise TornBatch(batch, _told(exc)) from exc


def _told(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {str(exc).partition(chr(10))[0]}"
