"""Packs the records of a batch's rows that ended a while ago; whoever reads them meets no difference."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from producer.contract.ids import BatchId
from producer.contract.jobs import JobStatus
from producer.store import keys, limits
from producer.store.connection import replies_of, translated
from producer.store.ended_buckets import TornBucket, letters_of, pack_ended
from producer.store.ended_columns import unpack_ended
from producer.store.ended_rows import EndedBucket, read_ended_buckets
from producer.store.records import RECORD_VERSION, pairs
from producer.store.scripts import Scripts
from producer.store.times import to_ms

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)

#: Buckets a sweep: about 0.2 s of work, a few hundred rows.
_A_SWEEP: Final = 8
#: Characters of a record that is packed; one that carries whole pictures stays as it is.
_LONGEST: Final = 20_000


class RowPacking:
    """The store as upkeep packs the ended rows of batches.

    Args:
        redis: connected with `decode_responses=True`.
        after: how long no row of a bucket has ended when it is packed.
        keep_ended: how long the record of an ended job is kept.
    """

    def __init__(
        self, redis: Redis, scripts: Scripts, *, after: timedelta, keep_ended: timedelta
    ) -> None:
        self._redis = redis
        self._scripts = scripts
        # Each row of a bucket that ends puts it off, and the first of them must not expire meanwhile.
        self._after_ms = to_ms(min(after, keep_ended / limits.BUCKET_ROWS))

    def pack(self) -> int:
        """Pack some of the buckets whose time has come and return how many rows that were."""
        due = pairs(self._scripts.run("rows_to_pack", args=[self._after_ms, _A_SWEEP]))
        return sum(self._pack(place, last_end) for place, last_end in due.items())

    def _pack(self, place: str, last_end: str) -> int:
        batch, _, number = place.rpartition(":")
        if not number.isdecimal():
            self._forget(place)
            return 0
        known = self._known(BatchId(batch), int(number))
        records = self._ended_records(known)
        letters, old = "", {}
        try:
            if known.data:
                letters = letters_of(known.data)
                old = unpack_ended(known.data, known.id_of)
        except TornBucket as exc:
            _log.warning("ended rows of batch %s are not packed: %s", batch, exc)
            records = {}
        arguments = [part for index in records for part in _named(known, index, records[index])]
        packed = pack_ended({**old, **records}, known.id_of) if records else b""
        outcome = self._scripts.run(
            "pack_rows",
            keys=[keys.batch(batch), keys.ended_rows(batch)],
            args=[place, last_end, number, letters, packed, *arguments],
        )
        return len(records) if outcome == "ok" else 0

    def _forget(self, place: str) -> None:
        with translated(self._redis):
            self._redis.zrem(keys.UNPACKED_ROWS, place)

    def _known(self, batch: BatchId, number: int) -> EndedBucket:
        found = list(read_ended_buckets(self._redis, [(batch, number)]))
        return found[0] if found else EndedBucket(batch, number, b"", {})

    def _ended_records(self, bucket: EndedBucket) -> dict[int, Mapping[str, str]]:
        """Return the records of rows that have ended, by index; those that cannot be packed are left."""
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for index in range(limits.BUCKET_ROWS):
                pipe.hgetall(keys.job(bucket.id_of(index)))
            found: list[Any] = replies_of(pipe)
        return {index: record for index, record in enumerate(found) if _can_be_packed(record)}


def _named(bucket: EndedBucket, index: int, record: Mapping[str, str]) -> tuple[str, str]:
    return bucket.id_of(index), record["ended_ms"]


def _waits_for_copies(record: Mapping[str, str]) -> bool:
    """Tell whether copies are still to be made of what a row made: what comes of them is noted in its record."""
    is_to_have = "deliver" in record and record["status"] == JobStatus.SUCCEEDED
    return is_to_have and "copied_ms" not in record


def _can_be_packed(record: Any) -> bool:
    try:
        return (
            isinstance(record, dict)
            and JobStatus(record["status"]).is_terminal
            and "ended_ms" in record
            and int(record["attempt"]) > 0
            and not _waits_for_copies(record)
            and int(record["v"]) <= RECORD_VERSION
            and sum(map(len, record.values())) <= _LONGEST
        )
    except (KeyError, ValueError, OverflowError, RecursionError):
        return False
