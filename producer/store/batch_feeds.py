"""Batch feeds: the rows of a batch that come next, made job records where the queue has room for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from producer.contract.ids import BatchId, JobId
from producer.contract.submissions import Submission
from producer.store import keys, limits
from producer.store.batch_records import BatchRecord, submission_of
from producer.store.batch_rows import bucket_of, unpack
from producer.store.batch_store import BatchStore
from producer.store.connection import replies_of, translated
from producer.store.records import fields_of, flat
from producer.store.scripts import Scripts
from producer.store.times import now_ms, to_ms
from producer.store.unfed_rows import read_buckets

if TYPE_CHECKING:
    from redis import Redis

#: A place in the queue: its name and priority. Jobs of one place wait for the same nodes.
Place = tuple[str, int]


class BatchFeeds:
    """The rows of sealed batches, on their way to the queue.

    Args:
        redis: connected with `decode_responses=True`.
        keep_ended: how long rows that have expired are kept.
        lease: how long a node may be silent before it counts as gone.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        keep_ended: timedelta,
        lease: timedelta,
        scripts: Scripts | None = None,
    ) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)
        self._keep_ms = to_ms(keep_ended)
        self._lease_ms = to_ms(lease)
        self._batches = BatchStore(redis, keep_ended=keep_ended, scripts=self._scripts)

    def in_turn(self) -> list[BatchRecord]:
        """Return the batches to look at, the one first that was fed longest ago.

        Rows whose start deadline has passed end here, held or not.
        """
        with translated(self._redis):
            found: Any = self._redis.zrange(keys.FEEDING, 0, -1)
            with self._redis.pipeline(transaction=False) as pipe:
                for batch in found:
                    pipe.hgetall(keys.batch(batch))
                # As long as somebody looks, neither may expire.
                for index in (keys.FEEDING, keys.WAITING, keys.BATCHES):
                    pipe.pexpire(index, limits.INDEX_MS, gt=True)
                records = replies_of(pipe)[: len(found)]
            # A key of another type is no batch any more than one that has expired; see the check.
            records = [fields if isinstance(fields, dict) else {} for fields in records]
            expired = [batch for batch, fields in zip(found, records, strict=True) if not fields]
            if expired:
                self._redis.zrem(keys.FEEDING, *expired)
        pairs = zip(found, records, strict=True)
        batches = [BatchRecord(BatchId(batch), fields) for batch, fields in pairs if fields]
        return [batch for batch in batches if batch.is_readable and not self._has_expired(batch)]

    def living_nodes(self) -> int:
        """Return how many nodes have beaten within the last lease."""
        since = now_ms(self._redis) - self._lease_ms
        with translated(self._redis):
            return int(self._redis.zcount(keys.NODES, since, "+inf"))

    def waiting_in(self, places: Collection[Place]) -> dict[Place, int]:
        """Return how many jobs wait in each place."""
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for queue, priority in places:
                pipe.zcard(keys.queued(queue, priority))
            return dict(zip(places, pipe.execute(), strict=True))

    def next_rows(self, record: BatchRecord) -> list[Submission | None]:
        """Return the rows of a batch that come next, as far as their bucket goes.

        One that was cancelled is None. A bucket that is gone gives nothing: it was fed by others.
        """
        number, index = bucket_of(record.fed + 1)
        data = read_buckets(self._redis, record.id, [number]).get(number)
        if data is None:
            return []
        spec, places = record.spec, record.places
        return [
            submission_of(record, row, packed, spec, places) if packed else None
            for row, packed in enumerate(unpack(data)[index:], record.fed + 1)
        ]

    def feed(self, record: BatchRecord, rows: Sequence[Submission | None]) -> list[JobId] | None:
        """Make records of the next *rows* of a batch; of none, when it is only due to expire.

        Nothing happens if another process was quicker, or somebody held or cancelled the batch.

        Returns:
            The jobs that now wait and need a message; None if nothing happened.
        """
        fed = record.fed + len(rows)
        is_used_up = bool(rows) and (bucket_of(fed + 1)[1] == 0 or fed == record.received)
        submissions = [row for row in rows if row]
        reply: Iterable[str] | None = self._scripts.run(
            "batch_feed",
            keys=[keys.batch(record.id), keys.rows(record.id)],
            args=[
                *(record.id, record.fed, record.number("edits"), fed),
                *(bucket_of(fed)[0] if is_used_up else "", self._keep_ms),
                *_queues(submissions),
                *_records(submissions),
            ],
        )
        return None if reply is None else [JobId(job_id) for job_id in reply]

    def move_live(self, record: BatchRecord) -> list[JobId]:
        """Go on with what was asked for; see `BatchStore.move_live`."""
        return self._batches.move_live(record)

    def _has_expired(self, record: BatchRecord) -> bool:
        if not record.number("waiting") or now_ms(self._redis) < record.number("start_by_ms"):
            return False
        self.feed(record, [])
        return True


def _queues(submissions: Sequence[Submission]) -> list[Any]:
    needs = {row.queue: row.needs.to_json() for row in submissions}
    return [len(needs), *flat(needs)]


def _records(submissions: Sequence[Submission]) -> list[Any]:
    if not submissions:
        return [1]
    records = [[row.id, *flat(fields_of(row))] for row in submissions]
    return [len(records[0]), *(part for record in records for part in record)]
