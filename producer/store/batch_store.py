"""Batches: opened, filled with rows, sealed; then cancelled, held and released as a whole.

A batch's rows stay packed until they are fed to the queue (`batch_feeds`), so whatever is done to
all of them at once is done to one record. The few hundred jobs that it has in the queue are moved
here, in steps; upkeep goes on where a caller was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from producer.contract.batches import BatchSpec, Places, RowShapes
from producer.contract.cancel_outcomes import BatchCancelled
from producer.contract.errors import (
    BacklogFull,
    BatchNotFound,
    InvalidBatch,
    KeyReused,
    OwnerBacklogFull,
    TooManyOpenBatches,
)
from producer.contract.ids import BatchId, JobId
from producer.contract.submissions import Content
from producer.store import keys, limits
from producer.store.batch_reader import BatchReader
from producer.store.batch_records import BatchRecord, fields_of_batch, fingerprint, places_json
from producer.store.batch_rows import Bucket
from producer.store.connection import translated
from producer.store.job_store import JobStore
from producer.store.record_reader import in_pages
from producer.store.records import flat, packed
from producer.store.scripts import Scripts
from producer.store.times import to_ms

if TYPE_CHECKING:
    from redis import Redis

#: Jobs that one script moves: about 3 ms.
_AT_ONCE: Final = 100
_NO_SHAPES: Final = RowShapes()


class BatchStore(BatchReader):
    """The fleet's memory of its batches.

    Args:
        redis: connected with `decode_responses=True`.
        keep_ended: how long the record of an ended job, and rows that were cancelled, are kept.
        most_waiting: refuse what would let more jobs wait; 0 for no limit.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        keep_ended: timedelta,
        most_waiting: int = 0,
        scripts: Scripts | None = None,
    ) -> None:
        super().__init__(redis)
        self._scripts = scripts or Scripts(redis)
        self._keep_ms = to_ms(keep_ended)
        self._most_waiting = most_waiting
        self._jobs = JobStore(redis, keep_ended=keep_ended, scripts=self._scripts)

    def open(
        self,
        batch: BatchId,
        spec: BatchSpec,
        *,
        name: str,
        key: str | None,
        sent: str = "",
        begun: bytes = b"",
    ) -> tuple[BatchId, bool]:
        """Record a new batch.

        Args:
            sent: what the key stands for, in place of what the rows share.
            begun: kept beside it while it is open, see `BegunBatches`.

        Returns:
            Its id, and whether it is new. An idempotency key seen before gives the batch that
            was opened then, in whatever state.

        Raises:
            KeyReused: the idempotency key belongs to another request.
            TooManyOpenBatches: its owner has as many as may be.
        """
        outcome, found = self._scripts.run(
            "batch_open",
            keys=[
                keys.batch(batch),
                keys.idempotency(spec.owner, key) if key else "",
                keys.batch_request(batch),
            ],
            args=[
                *(batch, sent or fingerprint(spec), packed(begun)),
                *flat(fields_of_batch(spec, name=name, key=key)),
            ],
        )
        if outcome == "reused":
            raise KeyReused(str(key), found)
        if outcome == "crowded":
            raise TooManyOpenBatches(spec.owner, found, limits.MOST_OPEN)
        return BatchId(found), found == batch

    def opened_as(self, owner: str, key: str, *, sent: str) -> BatchRecord | None:
        """Return the batch that a request has opened before, under its idempotency key; None if there is none.

        Raises:
            KeyReused: the key belongs to another request.
        """
        with translated(self._redis):
            found: Any = self._redis.get(keys.idempotency(owner, key))
        made, _, stands_for = (found or "").partition(" ")
        [record] = self._records([BatchId(made)]) if stands_for == sent else [None]
        if record or not made:
            return record
        with translated(self._redis):
            is_there = self._redis.exists(keys.job(JobId(made)), keys.batch(BatchId(made)))
        if is_there:
            raise KeyReused(key, made)
        return None

    def graph_of(self, record: BatchRecord) -> bytes:
        """Return the graph of a batch whose rows were accepted; raises JobNotFound once it is not kept any more."""
        return self._jobs.graph(record.spec.template)

    def add(
        self,
        batch: BatchId,
        buckets: Sequence[Bucket],
        places: Places,
        shapes: RowShapes = _NO_SHAPES,
    ) -> None:
        """Add rows to an open batch, in one round trip; those that it has already stay as they are.

        Raises:
            InvalidBatch: other rows were handed in before, or it is sealed.
            BatchNotFound: it was cancelled, or has expired.
            BacklogFull: too many jobs wait already.
        """
        written = places_json(places)
        calls = [
            (
                [keys.batch(batch), keys.rows(batch)],
                [
                    *(bucket.number, bucket.rows, bucket.before, bucket.after, bucket.data),
                    *(written, self._most_waiting, bucket.skipped),
                    shapes.to_json() if bucket is buckets[-1] else "",
                ],
            )
            for bucket in buckets
        ]
        for outcome, detail in self._scripts.run_all("batch_add", calls):
            self._expect(batch, outcome, detail)

    def seal(
        self,
        batch: BatchId,
        last: Bucket,
        places: Places,
        *,
        rows: int,
        template: str,
        content: Content,
        shapes: RowShapes = _NO_SHAPES,
    ) -> None:
        """Accept all rows of a batch, of which *last* are the last ones, and store what they share.

        Raises:
            InvalidBatch: other rows were handed in before.
            BatchNotFound: it was cancelled, or has expired.
            BacklogFull: too many jobs wait already.
        """
        outcome, detail = self._scripts.run(
            "batch_seal",
            keys=[
                *(keys.batch(batch), keys.rows(batch), keys.template(template)),
                keys.extra_data(content.extra_sha) if content.extra_sha else "",
            ],
            args=[
                *(batch, rows, last.number, last.rows, last.before, last.after, last.data),
                *(places_json(places), self._most_waiting, last.skipped),
                *(packed(content.graph), packed(content.extra_data), content.secrets),
                shapes.to_json(),
            ],
        )
        self._expect(batch, outcome, detail)

    def cancel(self, batch: BatchId) -> BatchCancelled:
        """End all jobs of a batch; running ones are asked for their end.

        Raises:
            BatchNotFound: there is none.
        """
        outcome: str = self._scripts.run(
            "batch_cancel",
            keys=[keys.batch(batch), keys.rows(batch)],
            args=[batch, self._keep_ms],
        )
        if outcome == "missing":
            raise BatchNotFound(batch)
        if outcome == BatchCancelled.CANCELLED:
            self.move_live(self.record(batch))
        return BatchCancelled(outcome)

    def discard(self, batch: BatchId) -> bool:
        """Forget an open batch; return False if it was sealed, perhaps just now, and so stays."""
        outcome: str = self._scripts.run(
            "batch_cancel",
            keys=[keys.batch(batch), keys.rows(batch)],
            args=[batch, self._keep_ms, "open"],
        )
        return outcome != "sealed"

    def hold(self, batch: BatchId) -> None:
        """Keep back all jobs of a batch that do not run yet.

        Raises:
            BatchNotFound: there is none.
            InvalidBatch: it is still open, or has ended.
        """
        self._switch(batch, "hold")

    def release(self, batch: BatchId) -> list[JobId]:
        """Let a batch that was held go on; return jobs that need a message; errors as of `hold`."""
        return self._switch(batch, "release")

    def move_live(self, record: BatchRecord) -> list[JobId]:
        """Cancel, hold or release the live jobs of a batch, as was asked for.

        Returns:
            Those that were released, and need a message.
        """
        released: list[JobId] = []
        verb = "hold" if record.is_held else record.moving
        for page in in_pages(self._live(record), _AT_ONCE):
            if verb == "cancel":
                self._jobs.cancel_all(page)
            elif verb == "hold":
                self._jobs.hold(page, of=record.id)
            elif verb == "release":
                released += self._jobs.release(page, of=record.id)
        self._scripts.run(
            "batch_moved",
            keys=[keys.batch(record.id)],
            args=[record.id, record.moving, record.number("switches")],
        )
        return released

    def _switch(self, batch: BatchId, verb: str) -> list[JobId]:
        outcome = self._scripts.run("batch_hold", keys=[keys.batch(batch)], args=[batch, verb])
        if outcome == "missing":
            raise BatchNotFound(batch)
        if outcome == "open":
            raise InvalidBatch(batch, "is still open: its rows are not accepted yet")
        if outcome == "ended":
            raise InvalidBatch(batch, "is over")
        return self.move_live(self.record(batch))

    def _live(self, record: BatchRecord) -> Iterator[JobId]:
        # What was made again after the batch was cancelled shall live.
        until = record.fields["cancel_ms"] if record.moving == "cancel" else "+inf"
        with translated(self._redis):
            found: Any = self._redis.zrange(keys.live(record.id), "-inf", until, byscore=True)
        return (JobId(job_id) for job_id in found)

    def _expect(self, batch: BatchId, outcome: str, detail: Any) -> None:
        if outcome == "missing":
            raise BatchNotFound(batch)
        if outcome == "full":
            raise BacklogFull(detail, self._most_waiting)
        if outcome == "owner_full":
            raise OwnerBacklogFull(self.record(batch).fields.get("owner", ""), *detail)
        if outcome == "sealed":
            raise InvalidBatch(batch, f"was sealed with {detail:,} rows, and takes no more")
        if outcome == "differs":
            raise InvalidBatch(
                batch,
                f"has {detail:,} rows already, and they differ from those handed in now",
                advice="use another idempotency key for other rows",
            )
