"""Route of moves: what waits and a filter means goes to another tier or pool."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from producer.http.access import Fleet, Submitter, chosen, tier_of
from producer.http.long_calls import LONG
from producer.http.requests import MoveJobsRequest
from producer.http.responses import answers
from producer.http.strict_json import StrictRoute
from producer.http.views import MovedView, answer

router = APIRouter(prefix="/v1/moves", tags=["moves"], route_class=StrictRoute)

#: Jobs that one request moves: about two seconds.
_MOST: Final = 10_000


@router.post(
    "",
    response_model=MovedView,
    dependencies=[LONG],
    responses=answers(400, 403, 404, 408, 413, 415, 422, 503),
)
async def move(body: MoveJobsRequest, fleet: Fleet, key: Submitter) -> Response:
    """Have the jobs that a filter means and the key sees wait in another tier or pool, as far as they wait."""
    moved = await fleet.move(
        chosen(key, body.filter),
        tier=tier_of(key, body.tier) if body.tier else None,
        pool=body.pool,
        dry_run=body.dry_run,
        most=_MOST,
    )
    return answer(MovedView(moved=moved))
