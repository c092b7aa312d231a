"""Batches that are filled by their id, a part at a time: any process may go on where another one stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Unpack

from producer.batch.hooks import check_batch_hook
from producer.batch.rows import RowLike
from producer.batch.submission import checked_rows, open_batch, writer_of
from producer.batch.writer import BatchWriter
from producer.contract.arguments import batch_id_of
from producer.contract.batches import BUCKET_ROWS, BadRow, Batch, PackedRow
from producer.contract.config.settings import Settings
from producer.contract.deliver_requests import read_deliver
from producer.contract.errors import InvalidBatch, InvalidInput
from producer.contract.graph.graph import GraphLike
from producer.contract.ids import BatchId
from producer.contract.json_texts import read_json
from producer.contract.outcomes import Begun
from producer.contract.queues import Tier
from producer.intake.admission import Intake
from producer.intake.request import JobOptions, Request, request_of
from producer.store.batch_store import BatchStore
from producer.store.begun_batches import BegunBatches
from producer.webhooks.methods import Webhooks

if TYPE_CHECKING:
    from redis import Redis

_FORMS: Final = "a file that all rows share must be named by a form, as {'upload': ID}"


class BatchPartMethods:
    """The methods of `Producer` for batches that come in parts."""

    settings: Settings
    webhooks: Webhooks
    _batches: BatchStore
    _begun: BegunBatches
    _intake: Intake
    _redis: Redis

    def begin_batch(
        self,
        graph: GraphLike,
        *,
        name: str = "",
        max_failed: int | str | None = None,
        **options: Unpack[JobOptions],
    ) -> Begun:
        """Open a batch that `add_rows` fills; options and errors as of `submit_many`.

        With the idempotency key of a batch that was begun before, that one is returned. It is kept for a week
        after its last part.

        Raises:
            InvalidInput: a file that all rows share is named otherwise than by a form (`{"upload": ID}`).
        """
        request = request_of(graph, {"tier": Tier.BATCH, **options})
        for address, value in request.inputs.items():
            if not isinstance(value, Mapping):
                raise InvalidInput(_FORMS, field=f"inputs.{address}")
        check_batch_hook(self.webhooks, self._redis, request)
        writer = open_batch(
            *(self._batches, self._intake, self.settings, request),
            begun=self._begun,
            name=name,
            replays=False,
            max_failed=max_failed,
            written=partial(_written, request),
        )
        return Begun(self._batches.get(writer.id), not writer.is_new)

    def add_rows(
        self,
        batch: str,
        rows: Iterable[RowLike],
        *,
        first: int | None = None,
        on_skipped: Callable[[BadRow], None] | None = None,
    ) -> Batch:
        """Add a part of its rows to an open batch, all of them or none, and return the batch.

        Every part but the last one has a multiple of 100 rows.

        Args:
            rows: as of `submit_many`; they are checked before any is stored.
            first: how many rows lie before them; rows that are there already are passed over, so that a part
                may be sent again. By default they come after those that are there.
            on_skipped: called with each bad row, which is then left out; without it a bad row refuses all.

        Raises:
            InvalidRows: rows are bad.
            InvalidBatch: it is sealed, had its last part, lacks rows before these, or other rows came meanwhile.
            BatchNotFound: there is none.
            BacklogFull, FleetUnreachable, StorageError: as of `submit_many`.
        """
        writer = self._continued(batch_id_of(batch))
        there = writer.received
        begin = there if first is None else first
        if not 0 <= begin <= there:
            raise InvalidBatch(
                writer.id,
                f"has {there:,} rows; expected a part that begins with one of them, or there, not at {begin:,}",
            )
        checked = checked_rows(writer, rows, after=begin, on_skipped=on_skipped)
        if new := checked[there - begin :]:
            self._put(writer, new)
        return self._batches.get(writer.id)

    def seal_batch(self, batch: str) -> Batch:
        """Accept all rows of an open batch, and return it; one that is sealed already is unchanged.

        Raises:
            InvalidJob: it has no rows.
            BatchNotFound: there is none.
            BacklogFull: too many jobs wait already.
        """
        wanted = batch_id_of(batch)
        if (found := self._batches.get(wanted)).sealed_at is not None:
            return found
        writer = self._continued(wanted)
        writer.begin_after(writer.received)
        return writer.seal()

    def _put(self, writer: BatchWriter, rows: list[PackedRow | None]) -> None:
        if writer.received % BUCKET_ROWS:
            raise InvalidBatch(
                writer.id,
                f"has {writer.received:,} rows; all parts but the last have a multiple of {BUCKET_ROWS}, "
                "so it has had its last one",
            )
        for row in rows:
            writer.put(row)
        writer.flush()

    def _continued(self, batch: BatchId) -> BatchWriter:
        record = self._batches.record(batch)
        if not record.is_open:
            raise InvalidBatch(batch, "is sealed: it takes no rows any more")
        kept = self._begun.find(batch)
        request = _read(kept) if kept else None
        if request is None:
            raise InvalidBatch(batch, "was not begun to be filled in parts")
        return writer_of(self._batches, self._intake, self.settings, request, record=record)


def _written(request: Request, document: Any) -> bytes:
    parts: dict[str, Any] = {
        "graph": document.graph,
        "extra_data": {**document.extra_data, **request.extra_data},
        **{name: getattr(request, name) for name in _PLAIN},
    }
    if deliver := read_deliver(request.deliver):  # earlier versions know no such argument
        parts["deliver"] = deliver.model_dump()
    for name in ("start_within", "run_within"):
        duration = getattr(request, name)
        parts[name] = None if duration is None else duration.total_seconds()
    return json.dumps(parts, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _read(kept: bytes) -> Request | None:
    """Return what a batch was begun with; None where its graph alone is kept."""
    parts = read_json(kept)
    if "params" not in parts:
        return None
    for name in ("start_within", "run_within"):
        parts[name] = None if parts[name] is None else timedelta(seconds=parts[name])
    return Request(**parts)


_PLAIN: Final = (
    *("params", "inputs", "pool", "tier", "pin", "metadata", "owner", "hook", "idempotency_key"),
)
