"""Routes of batches: begin, add rows in parts, seal, read, cancel, hold, release."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from producer.contract.batches import Batch
from producer.contract.cancel_outcomes import BatchCancelled
from producer.contract.errors import InvalidJob
from producer.http.access import (
    Fleet,
    Reader,
    Submitter,
    batch_of,
    check_open_room,
    check_room,
    fleet_of,
    seen,
    tier_of,
)
from producer.http.heavy_submissions import turn_if_heavy, turn_of_part
from producer.http.long_calls import LONG
from producer.http.problems import Flaw, Problem, ProblemType, problem_of
from producer.http.requests import BatchRequest, ListQuery, MoveRequest, SubmitHeaders
from producer.http.responses import answers, made_or_found
from producer.http.row_bodies import RowsBody, unpacked
from producer.http.strict_json import StrictRoute
from producer.http.views import (
    BatchPageView,
    BatchView,
    CancelledBatchView,
    JobPageView,
    MovedBatchView,
    RowsView,
    answer,
    batch_view,
    moved_batch_view,
    page_answer,
    rows_view,
)

router = APIRouter(prefix="/v1/batches", tags=["batches"], route_class=StrictRoute)

_RANGE: Final = re.compile(r"rows (\d{1,10})-(\d{1,10})/(?:\*|\d{1,10})")

BatchId = Annotated[str, Path(max_length=100)]


class RowHeaders(BaseModel):
    """Headers of a part. `Content-Range: rows 2000-2999/*` makes a part that is sent again do nothing twice."""

    content_range: str | None = None
    content_encoding: str | None = None


@router.post(
    "",
    status_code=201,
    response_model=BatchView,
    responses=made_or_found("The batch that the same key made before", BatchView),
)
async def begin(
    request: Request,
    body: BatchRequest,
    fleet: Fleet,
    key: Submitter,
    headers: Annotated[SubmitHeaders, Header()],
) -> Response:
    """Open a batch, to which rows are added in parts; none of them runs before it is sealed."""
    tier_of(key, body.tier)
    options = body.options(key.owner, key=headers.idempotency_key)
    async with turn_if_heavy(request, template=body.template):
        batch, is_replay = await fleet.begin_batch(
            body.source, name=body.name, max_failed=body.max_failed, **options
        )
    told = {"Location": f"/v1/batches/{batch.id}"}
    if is_replay:
        told["Idempotent-Replayed"] = "true"
    return answer(batch_view(batch), status=200 if is_replay else 201, headers=told)


@router.get(
    "", response_model=BatchPageView, dependencies=[LONG], responses=answers(403, 404, 422, 503)
)
async def list_batches(
    fleet: Fleet,
    key: Reader,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    name: Annotated[
        str, Query(max_length=256, description="The one that it stands for: its name, or its id.")
    ] = "",
) -> Response:
    """List batches, the newest first; with `name` the one of this name, which must be the only one."""
    owner = None if key.sees_all else key.owner
    if name:
        found = [await fleet.batch(await fleet.find_batch(name, owner=owner))]
    else:
        found = await fleet.batches(limit, owner)
    return answer(BatchPageView.model_construct(batches=[batch_view(batch) for batch in found]))


@router.get("/{batch_id}", response_model=BatchView, responses=answers(403, 404, 503))
async def read(batch_id: BatchId, fleet: Fleet, key: Reader) -> Response:
    """Read one batch; while it is open, `rows` says how many are there."""
    return answer(batch_view(await batch_of(fleet, key, batch_id)))


@router.post(
    "/{batch_id}/rows",
    response_model=RowsView,
    responses=answers(400, 403, 404, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "text/plain": {"schema": {"type": "string"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "application/jsonl": {
                    "schema": {"type": "string"},
                    "example": '{"6.text": "a red fox"}\n{"params": {"6.text": "a hen"}, "metadata": {"order": "7"}}\n',
                },
            },
        }
    },
)
async def add_rows(
    request: Request,
    batch_id: BatchId,
    key: Submitter,
    headers: Annotated[RowHeaders, Header()],
    skip_invalid: Annotated[bool, Query(description="Leave bad rows out.")] = False,  # noqa: FBT002
) -> Response:
    """Add a part of a batch's rows, one JSON object a line, gzip welcome: all of them, or none.

    Each part but the last has a multiple of 100 rows.
    """
    fleet = fleet_of(request)
    batch = await batch_of(fleet, key, batch_id)
    body = await unpacked(request, headers.content_encoding)
    skipped: list[Any] = []
    async with turn_of_part(request, len(body)):
        rows = await asyncio.to_thread(RowsBody, body)
        first = _first(headers.content_range, rows.count)
        new = (batch.rows if first is None else first) + rows.count - batch.rows
        if new > 0:
            await check_open_room(fleet, key, more=new)
        try:
            added = await fleet.add_rows(
                batch.id, rows, first=first, on_skipped=skipped.append if skip_invalid else None
            )
        except InvalidJob as exc:
            raise _of_batch(exc, batch) from exc
    return answer(rows_view(added, skipped))


@router.post(
    "/{batch_id}/seal", response_model=BatchView, responses=answers(403, 404, 409, 422, 429, 503)
)
async def seal(batch_id: BatchId, fleet: Fleet, key: Submitter) -> Response:
    """Accept all rows of a batch: from now on they run. One that is sealed already stays as it is."""
    batch = await batch_of(fleet, key, batch_id)
    if batch.sealed_at is None:
        await check_room(fleet, key, more=batch.rows)
    return answer(batch_view(await fleet.seal_batch(batch.id)))


@router.get(
    "/{batch_id}/rows",
    response_model=JobPageView,
    dependencies=[LONG],
    responses=answers(403, 404, 409, 422, 503),
)
async def list_rows(
    batch_id: BatchId, fleet: Fleet, key: Reader, wanted: Annotated[ListQuery, Query()]
) -> Response:
    """List the jobs of a batch, in the order of its rows."""
    batch = await batch_of(fleet, key, batch_id)
    page = await fleet.jobs(
        seen(key, wanted.filter).of_batch(batch.id), wanted.cursor, wanted.limit
    )
    return page_answer(page)


@router.post(
    "/{batch_id}/cancel",
    response_model=CancelledBatchView,
    response_model_exclude_none=True,
    responses=answers(403, 404, 503),
)
async def cancel(batch_id: BatchId, fleet: Fleet, key: Submitter) -> Response:
    """Request that all jobs of a batch be cancelled; one that is still open is deleted."""
    batch = await batch_of(fleet, key, batch_id)
    outcome = await fleet.cancel_batch(batch.id)
    left = None if outcome is BatchCancelled.DISCARDED else batch_view(await fleet.batch(batch.id))
    return answer(CancelledBatchView.model_construct(outcome=outcome, batch=left))


@router.post("/{batch_id}/hold", response_model=BatchView, responses=answers(403, 404, 409, 503))
async def hold(batch_id: BatchId, fleet: Fleet, key: Submitter) -> Response:
    """Hold all jobs of a batch that do not run yet."""
    batch = await batch_of(fleet, key, batch_id)
    return answer(batch_view(await fleet.hold_batch(batch.id)))


@router.post("/{batch_id}/release", response_model=BatchView, responses=answers(403, 404, 409, 503))
async def release(batch_id: BatchId, fleet: Fleet, key: Submitter) -> Response:
    """Release a held batch."""
    batch = await batch_of(fleet, key, batch_id)
    return answer(batch_view(await fleet.release_batch(batch.id)))


@router.post(
    "/{batch_id}/move",
    response_model=MovedBatchView,
    dependencies=[LONG],
    responses=answers(400, 403, 404, 408, 409, 413, 415, 422, 503),
)
async def move(batch_id: BatchId, fleet: Fleet, key: Submitter, body: MoveRequest) -> Response:
    """Have all jobs of a batch that wait do so in another tier or pool."""
    batch = await batch_of(fleet, key, batch_id)
    tier = tier_of(key, body.tier) if body.tier else None
    moved = await fleet.move_batch(batch.id, tier=tier, pool=body.pool, dry_run=body.dry_run)
    return answer(moved_batch_view(await fleet.batch(batch.id), moved))


def _of_batch(error: InvalidJob, batch: Batch) -> Problem:
    """Return the problem that an error of rows is; what all of them share stands in the request that began the batch."""
    problem, path = problem_of(error), batch_view(batch).links.self
    if str(error.field).partition(".")[0] in BatchRequest.model_fields:
        problem.flaws = [
            flaw if flaw.row is not None else flaw._replace(of=path) for flaw in problem.flaws
        ]
    return problem


def _first(content_range: str | None, count: int) -> int | None:
    """Return how many rows lie before a part; None where the request does not say.

    Raises:
        Problem: the header is of another form, or does not fit the number of rows.
    """
    if content_range is None:
        return None
    found = _RANGE.fullmatch(content_range.strip())
    if found and int(found[2]) - int(found[1]) + 1 == count:
        return int(found[1])
    detail = (
        f"the part has {count:,} rows; expected Content-Range: rows FIRST-LAST/*, counted from 0"
    )
    flaw = Flaw("invalid_request", detail, parameter="Content-Range")
    raise Problem(ProblemType.INVALID_REQUEST, detail, flaws=[flaw])
