"""Hands the rows of a batch in: checked, packed by the hundred, sent some thousands at a time."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from producer.batch.row_checks import Row, RowChecks, as_row
from producer.contract.batches import BUCKET_ROWS, Batch, PackedRow
from producer.contract.crashpoints import crashpoint
from producer.contract.errors import InvalidBatch, InvalidJob
from producer.contract.ids import MOST_ROWS, BatchId
from producer.contract.submissions import Content
from producer.store.batch_records import DIGESTS_VERSION, BatchRecord
from producer.store.batch_rows import Bucket, chain, pack, row_identity, row_text
from producer.store.batch_store import BatchStore

#: Buckets a round trip: 2,000 rows, or fewer when they come to so many bytes, packed.
_AT_ONCE: Final = 20
_AT_ONCE_BYTES: Final = 2 << 20


class BatchWriter:
    """An open batch that takes rows.

    Rows are accepted all at once, when the batch is sealed; until then nothing of it runs. One that
    was left open takes more rows later, from `received` on: hand in those after it.

        with fleet.open_batch(graph, idempotency_key="night-0412") as batch:
            for row in rows[batch.received :]:
                batch.add(row)

    Leaving the block seals the batch; an exception leaves it open. It forgets itself a week after
    its last row. For use by one thread.

    Args:
        content: what is stored with the batch when it is sealed.
        replays: all rows come once more, from the first on: those that the batch has already are
            compared, not sent.
    """

    def __init__(
        self,
        store: BatchStore,
        record: BatchRecord,
        checks: RowChecks,
        *,
        content: Content,
        replays: bool,
    ) -> None:
        self.id: BatchId = record.id
        self.received = record.received
        self._store = store
        self._checks = checks
        self._template = record.spec.template
        self._content = content
        self._there = (record.number("buckets"), record.fields["digest"])
        self._rows = 0 if replays else record.received
        self._number, self._digest = (0, "") if replays else self._there
        # A batch that an older version opened goes on as it began.
        self._compares_files = record.number("digests") >= DIGESTS_VERSION
        self._texts: list[str] = []
        self._identities: list[str] = []
        self._places: list[int] = []
        self._ahead: list[Bucket] = []

    def check(self, row: Row | Mapping[str, Any]) -> PackedRow:
        """Return a row as it would be stored.

        Raises:
            InvalidJob: it cannot become a job; the field names its column.
        """
        return self._checks.check(as_row(row))

    def add(self, row: Row | Mapping[str, Any]) -> None:
        """Check one row and hand it in.

        Raises:
            InvalidJob: it cannot become a job; the batch is as it was before.
            InvalidBatch, BatchNotFound: the batch takes no more rows, or no such ones.
            BacklogFull, FleetUnreachable: rows could not be sent now. All that were handed in, this
                one too, are kept and sent with the next ones, or when the batch is sealed.
        """
        self.put(self.check(row))

    def put(self, row: PackedRow | None) -> None:
        """Hand in a row that was checked; None leaves a number without a job. Errors as of `add`."""
        if self._rows >= MOST_ROWS:
            raise InvalidJob(f"a batch has at most {MOST_ROWS:,} rows", field="rows")
        self._texts.append(row_text(row))
        self._identities.append(row_identity(row) if self._compares_files else self._texts[-1])
        self._places.append(row.place if row else 0)
        self._rows += 1
        if len(self._texts) == BUCKET_ROWS:
            self._put_aside()
            size = sum(len(bucket.data) for bucket in self._ahead)
            if len(self._ahead) >= _AT_ONCE or size >= _AT_ONCE_BYTES:
                self._send()

    def seal(self) -> Batch:
        """Accept all rows that were handed in, and return the batch.

        It may be called again after an error.

        Raises:
            InvalidJob: there are none.
            InvalidBatch, BatchNotFound, BacklogFull: nothing was accepted.
            FleetUnreachable: perhaps all was.
        """
        if not self._rows:
            raise InvalidJob("there are no rows", field="rows")
        self._send()
        self._store.seal(
            self.id,
            self._bucket(),
            self._checks.places,
            rows=self._rows,
            template=self._template,
            content=self._content,
        )
        return self._store.get(self.id)

    def discard(self) -> bool:
        """Forget the batch and its rows; return False if it was sealed, and so stays."""
        return self._store.discard(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self.seal()

    def _bucket(self) -> Bucket:
        """Return the rows at hand as the next bucket; there may be none at the end."""
        texts, number = self._texts, self._number
        return Bucket(
            number=number,
            rows=len(texts),
            before=self._digest,
            after=chain(self._digest, self._identities) if texts else self._digest,
            data=pack(texts, self._places) if texts and number >= self._there[0] else b"",
            skipped=texts.count("null"),
        )

    def _put_aside(self) -> None:
        bucket = self._bucket()
        self._ahead.append(bucket)
        self._number, self._digest = bucket.number + 1, bucket.after
        self._texts, self._identities, self._places = [], [], []
        self._compare()

    def _compare(self) -> None:
        """Refuse rows that differ from those that the batch has."""
        buckets, digest = self._there
        if self._number == buckets and self._digest != digest:
            raise InvalidBatch(
                self.id,
                f"has {self.received:,} rows already, and they differ from those handed in now",
                advice="use another idempotency key for other rows",
            )

    def _send(self) -> None:
        new = [bucket for bucket in self._ahead if bucket.number >= self._there[0]]
        if new:
            self._store.add(self.id, new, self._checks.places)
            crashpoint("batch.added")
        self._ahead = []  # not before they are there: who is refused now may be let in later
