"""Writer of a batch's rows: checks them, packs a hundred into a bucket, sends some thousands at once."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from producer.batch.row_checks import RowChecks
from producer.batch.rows import Row, as_row
from producer.contract.batches import BUCKET_ROWS, Batch, PackedRow
from producer.contract.crashpoints import crashpoint
from producer.contract.errors import InvalidBatch, InvalidJob
from producer.contract.ids import MOST_ROWS, BatchId
from producer.contract.submissions import Content
from producer.store.batch_records import DIGESTS_VERSION, BatchRecord
from producer.store.batch_rows import Bucket, chain, pack, row_identity, row_text
from producer.store.batch_store import BatchStore

#: Buckets a round trip: 20 with 2,000 rows, or fewer once they come to 2 MiB, packed.
_AT_ONCE: Final = 20
_AT_ONCE_BYTES: Final = 2 << 20


class BatchWriter:
    """An open batch to which rows are added.

    Rows are accepted all at once, when the batch is sealed; until then none of them runs. An open
    batch is continued later after the `received` rows that it has:

        with fleet.open_batch(graph, idempotency_key="night-0412") as batch:
            for row in rows[batch.received :]:
                batch.add(row)

    Leaving the block seals the batch; an exception leaves it open. An open batch expires a week after
    its last row. Not thread-safe.

    Args:
        content: what is stored with the batch when it is sealed.
        replays: rows are added again from the first: those that the batch has already are compared
            by their digest, not sent.
        is_new: it was opened just now; else an idempotency key stands for it.
    """

    def __init__(
        self,
        store: BatchStore,
        record: BatchRecord,
        checks: RowChecks,
        *,
        content: Content,
        replays: bool,
        is_new: bool = False,
    ) -> None:
        self.id: BatchId = record.id
        self.received = record.received
        self.is_new = is_new
        self._store = store
        self._checks = checks
        self._template = record.spec.template
        self._content = content
        self._there = (record.number("buckets"), record.fields["digest"])
        self._rows = 0 if replays else record.received
        self._number, self._digest = (0, "") if replays else self._there
        # A batch that an older version opened keeps its way of computing digests.
        self._compares_files = record.number("digests") >= DIGESTS_VERSION
        self._texts: list[str] = []
        self._identities: list[str] = []
        self._places: list[int] = []
        self._ahead: list[Bucket] = []

    def check(self, row: Row | Mapping[str, Any]) -> PackedRow:
        """Return a row as it would be stored.

        Raises:
            InvalidJob: it is no valid job; the field names its column.
            FleetUnreachable, StorageError: Redis, or S3 for input files, failed.
        """
        return self._checks.check(as_row(row))

    def add(self, row: Row | Mapping[str, Any]) -> None:
        """Check one row and add it.

        Raises:
            InvalidJob: it is no valid job; the batch is unchanged.
            InvalidBatch, BatchNotFound: the batch is sealed or gone, or its rows differ from these.
            BacklogFull, FleetUnreachable: rows could not be sent. All that were added, this one
                too, are kept and sent with the next ones, or when the batch is sealed.
        """
        self.put(self.check(row))

    def put(self, row: PackedRow | None) -> None:
        """Add a row that was checked; None skips its number. Errors as of `add`."""
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
        """Send what is left, accept all rows at once, and return the batch.

        It may be called again after an error.

        Raises:
            InvalidJob: there are no rows.
            InvalidBatch, BatchNotFound, BacklogFull: no row was accepted.
            FleetUnreachable: whether all or none were accepted is unknown.
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
            shapes=self._checks.shapes,
        )
        return self._store.get(self.id)

    def begin_after(self, rows: int) -> None:
        """Count rows that the batch has already, none of which is added again."""
        self._rows = rows

    def flush(self) -> None:
        """Send what is left; a batch takes no rows after a part that is no multiple of 100. Errors as of `add`."""
        if self._texts:
            self._put_aside()
        self._send()

    def discard(self) -> bool:
        """Delete the batch and its rows; return False if it was sealed, and so stays."""
        return self._store.discard(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self.seal()

    def _bucket(self) -> Bucket:
        """Return the buffered rows as the next bucket; at the end it may have none."""
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
        """Raise InvalidBatch if the rows added so far differ from those that the batch has."""
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
            self._store.add(self.id, new, self._checks.places, self._checks.shapes)
            crashpoint("batch.added")
        self._ahead = []  # only once they are stored: after a refusal they are sent again
