"""Route of actions on many jobs at once."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from producer.contract.filters.query import Filter, Term
from producer.contract.outcomes import BulkAction
from producer.contract.queues import Tier
from producer.http.access import Fleet, Submitter, room_of, seen
from producer.http.requests import Flag
from producer.http.responses import answers
from producer.http.strict_json import StrictRoute
from producer.http.views import answer

router = APIRouter(prefix="/v1/actions", tags=["actions"], route_class=StrictRoute)


#: Jobs that one request acts on.
_AT_ONCE: Final = 500


class ActionRequest(BaseModel):
    """What to do with which jobs. Count first, by `dry_run`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"action": "cancel", "filter": "status:queued", "dry_run": True}]
        },
    )

    action: BulkAction
    filter: Annotated[str, Field(max_length=4_000)]
    dry_run: Flag = False
    cursor: Annotated[str, Field(max_length=20_000)] | None = None
    reason: Annotated[str, Field(max_length=200)] = ""


class ActedView(BaseModel):
    """What was done. With `cursor` there are more: send the same with it."""

    matched: int
    done: int
    cursor: str | None = None


@router.post(
    "", response_model=ActedView, responses=answers(400, 403, 404, 408, 409, 413, 415, 422, 503)
)
async def act(request: Request, body: ActionRequest, fleet: Fleet, key: Submitter) -> Response:
    """Cancel, hold, release or retry the next 500 jobs that a filter means; only those that the key sees.

    Retried are only those of tiers that the key may ask for.
    """
    wanted, room = seen(key, body.filter), None
    if body.action is BulkAction.RETRY:
        # What is made again is handed in with this key: within its tiers, and as many as it may have waiting.
        if key.tiers != list(Tier):
            wanted = Filter((*wanted.terms, Term("tier", tuple(key.tiers))))
        room = None if body.dry_run else await room_of(fleet, key)
    acted = await fleet.act(
        body.action,
        wanted,
        cursor=body.cursor,
        dry_run=body.dry_run,
        limit=_AT_ONCE if room is None else min(room, _AT_ONCE),
        actor=f"key {key.name}",
        origin=request.client.host if request.client else "",
        reason=body.reason,
    )
    return answer(ActedView(**acted._asdict()))
