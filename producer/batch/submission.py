"""Submission of a batch in one call: all rows are checked, then all are accepted, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from producer.batch.named_batches import sent_fingerprint, with_its_graph, written_graph
from producer.batch.row_checks import RowChecks, resolved
from producer.batch.rows import Row, RowLike
from producer.batch.writer import BatchWriter
from producer.contract.batches import BadRow, Batch, BatchSpec, PackedRow
from producer.contract.config.settings import Settings
from producer.contract.errors import SAME_ROWS, FleetError, InvalidBatch, InvalidJob, InvalidRows
from producer.contract.graph.graph import Graph, GraphDocument, template_id
from producer.contract.ids import new_batch_id
from producer.contract.max_failed import read_max_failed
from producer.contract.metadata import check_metadata
from producer.contract.params.addresses import Addresses
from producer.contract.params.params import check_size
from producer.intake.admission import Intake
from producer.intake.request import Request, as_tier, check_names
from producer.store.batch_records import BatchRecord
from producer.store.batch_store import BatchStore
from producer.store.begun_batches import BegunBatches

#: Bad rows that an error names.
_NAMED: Final = 20
#: After so many rows each `on_progress` is called.
_PROGRESS_ROWS: Final = 1_000

#: Prefixes of an error's field that blame one row; any other field blames the whole batch.
_OF_ROW: Final = ("params.", "inputs.", "metadata.")


def open_batch(
    store: BatchStore,
    intake: Intake,
    settings: Settings,
    request: Request,
    *,
    begun: BegunBatches,
    name: str,
    replays: bool,
    max_failed: int | str | None = None,
    written: Callable[[GraphDocument], bytes] | None = None,
) -> BatchWriter:
    """Open a batch, or continue the one with the same idempotency key.

    Args:
        replays: see `BatchWriter`.
        max_failed: see `Producer.submit_many`.
        written: returns what is kept beside it, so that any process can add rows to it.

    Raises:
        InvalidJob: the graph, the tier, or what all rows share is invalid.
        KeyReused: the idempotency key belongs to another request.
    """
    check_names(request, name=name)
    given, key = request, request.idempotency_key
    sent = sent_fingerprint(intake, request, max_failed=max_failed)
    before = store.opened_as(request.owner, key, sent=sent) if key and sent else None
    if before:
        request = with_its_graph(intake, store, begun, request, before)
    else:
        request = intake.with_graph(request)
    document = intake.read(request)
    content, extra = intake.content(request, document)
    request = resolved(request, document.graph)
    _check_addresses(request, document.graph)
    check_size(request.params, settings.max_params_bytes)
    check_metadata(request.metadata)
    start_within, run_within = intake.deadlines(request)
    deliver = intake.deliver(request, has_batch=True)
    spec = BatchSpec(
        template=template_id(document.graph),
        tier=as_tier(request.tier),
        pool=request.pool,
        pin=request.pin,
        params=request.params,
        metadata=request.metadata,
        owner=request.owner,
        hook=request.hook,
        deliver=deliver,
        max_failed=read_max_failed(max_failed),
        extra_data=content.extra_sha,
        secrets=tuple(sorted(extra.secrets)),
        added_secrets=extra.added,
        start_within_s=start_within.total_seconds(),
        run_within_s=run_within.total_seconds(),
    )
    keep = written or (written_graph if sent else None)
    kept = keep(document) if keep else b""
    if before:
        batch, is_new = before.id, False
    else:
        batch, is_new = store.open(new_batch_id(), spec, name=name, key=key, sent=sent, begun=kept)
    record = store.record(batch)
    if sent and not (
        is_new or before
    ):  # somebody else has just opened it, perhaps of another graph
        return open_batch(
            *(store, intake, settings, given),
            begun=begun,
            name=name,
            replays=replays,
            max_failed=max_failed,
            written=written,
        )
    if written and not is_new:
        begun.keep(batch, kept)
    return BatchWriter(
        store,
        record,
        _checks(intake, settings, request, document.graph, record),
        content=content,
        replays=replays,
        is_new=is_new,
    )


def _check_addresses(request: Request, graph: Graph) -> None:
    """Raise InvalidParam for a file that all rows share at an address that the graph has not: no row can mend that."""
    if request.inputs:
        addresses = Addresses(graph)
        for address in request.inputs:
            addresses.find(address, among="inputs")


def writer_of(
    store: BatchStore, intake: Intake, settings: Settings, request: Request, *, record: BatchRecord
) -> BatchWriter:
    """Continue an open batch with the request by which it was opened; errors as of `open_batch`."""
    document = intake.read(request)
    content, _ = intake.content(request, document)
    checks = _checks(intake, settings, resolved(request, document.graph), document.graph, record)
    return BatchWriter(store, record, checks, content=content, replays=False)


def _checks(
    intake: Intake, settings: Settings, request: Request, graph: Graph, record: BatchRecord
) -> RowChecks:
    return RowChecks(
        intake,
        request,
        graph,
        places=record.places,
        shapes=record.shapes,
        max_bytes=settings.max_params_bytes,
    )


def submit_rows(
    writer: BatchWriter,
    rows: Iterable[RowLike],
    *,
    is_resumable: bool,
    on_skipped: Callable[[BadRow], None] | None,
    on_progress: Callable[[int], None] | None,
) -> Batch:
    """Store all rows and seal the batch.

    Args:
        is_resumable: leave the batch open when interrupted, instead of discarding it.
        on_skipped: called with each bad row, which is left out; without it, a bad row refuses all.

    Raises:
        InvalidRows: some are bad; none was accepted.
        InvalidBatch: other rows were accepted under the same idempotency key.
    """
    try:
        _hand_in(writer, rows, on_skipped=on_skipped, on_progress=on_progress)
        return writer.seal()
    except InvalidJob as exc:
        if _forget(writer):
            raise
        # A call with the same key, perhaps an earlier one of ours, has sealed the batch: it stays.
        raise _accepted_before(writer, exc) from exc
    except BaseException:
        if not is_resumable:
            _forget(writer)
        raise


def checked_rows(
    writer: BatchWriter,
    rows: Iterable[RowLike],
    *,
    after: int,
    on_skipped: Callable[[BadRow], None] | None,
) -> list[PackedRow | None]:
    """Return rows as they are stored, None for those that are left out.

    Args:
        after: how many rows lie before them.
        on_skipped: called with each bad row, which is left out; without it, a bad row refuses all.

    Raises:
        InvalidRows: some are bad.
    """
    named: list[BadRow] = []
    found: list[PackedRow | None] = []
    bad = 0
    for number, row in enumerate(rows, after + 1):
        packed, flaw = _checked(writer, number, row)
        if flaw and on_skipped:
            on_skipped(flaw)
        elif flaw:
            bad += 1
            named += [flaw] if bad <= _NAMED else []
        found.append(packed)
    if bad:
        raise InvalidRows(named, count=bad)
    return found


def _hand_in(
    writer: BatchWriter,
    rows: Iterable[RowLike],
    *,
    on_skipped: Callable[[BadRow], None] | None,
    on_progress: Callable[[int], None] | None,
) -> None:
    named: list[BadRow] = []
    bad = 0
    for number, row in enumerate(rows, 1):
        packed, flaw = _checked(writer, number, row)
        if flaw and on_skipped:
            on_skipped(flaw)
        elif flaw:
            bad += 1
            named += [flaw] if bad <= _NAMED else []
        if not bad:
            writer.put(packed)
        if on_progress and number % _PROGRESS_ROWS == 0:
            on_progress(number)
    if bad:
        raise InvalidRows(named, count=bad)


def _checked(
    writer: BatchWriter, number: int, row: RowLike
) -> tuple[PackedRow | None, BadRow | None]:
    """Return a row as it is stored, or what is wrong with it.

    Raises:
        InvalidJob: the error concerns the whole batch, not this row.
    """
    if isinstance(row, InvalidJob):
        return None, bad_row(number, row)
    try:
        return writer.check(row), None
    except InvalidJob as exc:
        if not (exc.field or "").startswith(_OF_ROW):
            raise
        hands_files_in = isinstance(row, Row) and bool(row.inputs)
        if number == 1 and str(exc.field).startswith("inputs.") and not hands_files_in:
            raise  # the first row has no inputs, so presumably none has: the shared ones are at fault
        return None, bad_row(number, exc)


def bad_row(number: int, error: InvalidJob) -> BadRow:
    """Return an error as that of a row, naming the column as the caller did."""
    column = error.field
    for prefix in _OF_ROW[:2]:
        column = column.removeprefix(prefix) if column else None
    return BadRow(number, column or None, error.message, error.advice)


def _forget(writer: BatchWriter) -> bool:
    """Discard the open batch; return False if it was sealed, and so stays."""
    try:
        return writer.discard()
    except FleetError:
        return True  # it expires in a week; the error that led here is the one to raise


def _accepted_before(writer: BatchWriter, error: InvalidJob) -> InvalidJob:
    """Return the error for rows that differ from those accepted under the same idempotency key."""
    if isinstance(error, InvalidBatch):
        return error
    if isinstance(error, InvalidRows):
        return InvalidRows(error.rows, count=error.count, accepted=writer.id)
    return InvalidBatch(
        writer.id,
        f"was accepted before and stays as it is; what came now cannot be compared: {error.message}",
        advice=SAME_ROWS,
    )
