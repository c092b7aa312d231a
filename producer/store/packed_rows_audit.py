"""Packed rows audit for `comfyfleet check`: reads buckets of ended rows, and repairs what stands beside them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from producer.contract.ids import BatchId, JobId
from producer.store import keys
from producer.store.connection import replies_of, translated
from producer.store.ended_columns import unpack_ended
from producer.store.ended_rows import EndedBucket, read_ended_buckets
from producer.store.job_lists import ENDED_BADLY
from producer.store.key_types import ForeignKey, foreign_keys
from producer.store.scripts import Scripts

if TYPE_CHECKING:
    from redis import Redis

#: What the key of a batch's ended rows ends with.
ENDED_ROWS: Final = keys.ended_rows("").removeprefix(keys.BATCH)


class PackedRowsAudit:
    """Reads every bucket of ended rows, and mends what one script can mend by itself.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, scripts: Scripts) -> None:
        self._redis = redis
        self._scripts = scripts

    def foreign(self) -> Iterator[tuple[BatchId, ForeignKey]]:
        """Yield batches whose ended rows are a key of another type, and that."""
        with translated(self._redis):
            names = self._redis.scan_iter(f"{keys.BATCH}*{ENDED_ROWS}", count=1000)
            for key in foreign_keys(self._redis, names):
                yield BatchId(key.key.removeprefix(keys.BATCH).removesuffix(ENDED_ROWS)), key

    def buckets(self) -> Iterator[EndedBucket]:
        """Give every bucket of ended rows, each once."""
        seen: set[str] = set()
        for key in self._hashes():
            if key.endswith(ENDED_ROWS) and key not in seen:
                seen.add(key)
                batch = BatchId(key.removeprefix(keys.BATCH).removesuffix(ENDED_ROWS))
                with translated(self._redis):
                    names: Any = self._redis.hkeys(key)
                numbers = [int(name) for name in names if name.isdecimal()]
                yield from read_ended_buckets(self._redis, [(batch, number) for number in numbers])

    def replace(self, bucket: EndedBucket, data: bytes) -> bool:
        """Put *data* in place of a bucket that was read; False if it is another one by now."""
        done = self._scripts.run(
            "mend_rows",
            keys=[keys.ended_rows(bucket.batch)],
            args=[bucket.number, bucket.data, data],
        )
        return bool(done)

    def unlisted(self, bucket: EndedBucket) -> list[JobId]:
        """Return the rows of a bucket that ended without success, and are not listed so.

        Raises:
            TornBucket: it is not what was written.
        """
        statuses = bucket.statuses()
        badly = [
            [job_id for job_id, found in statuses.items() if found is status]
            for status in ENDED_BADLY
        ]
        asked = [
            (keys.ended(status), ids) for status, ids in zip(ENDED_BADLY, badly, strict=True) if ids
        ]
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for key, ids in asked:
                for job_id in ids:
                    pipe.zscore(key, job_id)
            found = zip(
                [job_id for _, ids in asked for job_id in ids], replies_of(pipe), strict=True
            )
        # Of a list that is a key of another type the score is an error.
        return [job_id for job_id, score in found if score is None]

    def list_rows(self, bucket: EndedBucket, job_ids: Collection[JobId]) -> bool:
        """List rows of a bucket as `unlisted` returned them; False if it is another one by now."""
        records = unpack_ended(bucket.data, bucket.id_of)
        found = ((bucket.id_of(index), record) for index, record in records.items())
        done = self._scripts.run(
            "list_rows",
            keys=[keys.ended_rows(bucket.batch), keys.batch(bucket.batch)],
            args=[
                *(bucket.number, bucket.data),
                *(
                    part
                    for job_id, record in found
                    if job_id in job_ids
                    for part in (job_id, record["status"], record["ended_ms"])
                ),
            ],
        )
        return bool(done)

    def replace_note(self, bucket: EndedBucket, made_again: Mapping[str, str]) -> bool:
        """Note which rows of a bucket were made again; False if the note is another one by now."""
        note = json.dumps(made_again, separators=(",", ":"))
        done = self._scripts.run(
            "mend_rows",
            keys=[keys.ended_rows(bucket.batch)],
            args=[f"{bucket.number}:again", bucket.note or b"", note],
        )
        return bool(done)

    def _hashes(self) -> Iterator[str]:
        with translated(self._redis):
            yield from self._redis.scan_iter(f"{keys.BATCH}*", count=1000, _type="HASH")
