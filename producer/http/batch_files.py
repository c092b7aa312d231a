"""Routes of a batch's results and errors, as JSON lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from producer.aio import AsyncProducer
from producer.contract.batches import Batch
from producer.contract.errors import InvalidBatch
from producer.contract.jobs import JobStatus
from producer.contract.result_lines import statuses_of
from producer.http.access import Fleet, Reader, batch_of, fleet_of
from producer.http.long_calls import LONG, LongCalls
from producer.http.responses import answers
from producer.http.strict_json import StrictRoute

router = APIRouter(prefix="/v1/batches", tags=["batches"], route_class=StrictRoute)

_LINES: Final = "application/jsonl"
_BADLY: Final = (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED)
#: Lines of one turn: as many as the library reads in one go.
_AT_ONCE: Final = 500
_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "One JSON object a line", "content": {_LINES: {}}}
}

BatchId = Annotated[str, Path(max_length=100)]


@router.get(
    "/{batch_id}/results.jsonl",
    response_class=Response,
    dependencies=[LONG],
    responses=_ANSWER | answers(403, 404, 409, 422, 503),
)
async def results(
    request: Request,
    batch_id: BatchId,
    fleet: Fleet,
    key: Reader,
    statuses: Annotated[
        str, Query(max_length=200, description="In place of `succeeded`, with commas.")
    ] = JobStatus.SUCCEEDED,
) -> Response:
    """Give the jobs of a batch that have succeeded, in the order of its rows, with their artifacts."""
    wanted = statuses_of([word.strip() for word in statuses.split(",")])
    batch = await _sealed(fleet, key, batch_id)
    return _lines(request, batch, wanted)


@router.get(
    "/{batch_id}/errors.jsonl",
    response_class=Response,
    dependencies=[LONG],
    responses=_ANSWER | answers(403, 404, 409, 503),
)
async def errors(request: Request, batch_id: BatchId, fleet: Fleet, key: Reader) -> Response:
    """Give the jobs of a batch that have ended otherwise, each with its cause."""
    batch = await _sealed(fleet, key, batch_id)
    return _lines(request, batch, _BADLY)


async def _sealed(fleet: AsyncProducer, key: Any, batch_id: str) -> Batch:
    batch = await batch_of(fleet, key, batch_id)
    if batch.sealed_at is None:
        raise InvalidBatch(batch.id, "is still open: its rows are not accepted yet")
    return batch


def _lines(request: Request, batch: Batch, statuses: Collection[JobStatus]) -> Response:
    fleet, owner = fleet_of(request), request.state.key.owner
    calls: LongCalls = request.app.state.long_calls

    async def pages() -> AsyncIterator[str]:
        lines = fleet.batch_result_lines(batch.id, statuses=statuses)
        while True:
            async with calls.turn(owner, has_begun=True):
                page = await _some(lines)
            if not page:
                return
            yield "\n".join([*page, ""])

    return StreamingResponse(pages(), media_type=_LINES)


async def _some(lines: AsyncIterator[str]) -> list[str]:
    """Return the next lines; none at the end."""
    page: list[str] = []
    async for line in lines:
        page.append(line)
        if len(page) == _AT_ONCE:
            break
    return page
