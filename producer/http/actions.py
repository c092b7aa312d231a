"""Routes of actions on many jobs at once: asked for here, carried out by upkeep."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from producer.aio import AsyncProducer
from producer.contract.errors import ActionNotFound, InvalidQuery
from producer.contract.filters.query import Filter, Term
from producer.contract.graph.json_values import text_flaw
from producer.contract.ids import keyed_action_id
from producer.contract.outcomes import ActionRecord, BulkAction
from producer.contract.queues import Tier
from producer.http.access import Fleet, Reader, Submitter, chosen, room_of
from producer.http.long_calls import LONG
from producer.http.requests import Flag, one_key
from producer.http.responses import answers
from producer.http.strict_json import StrictRoute
from producer.http.views import Links, answer

router = APIRouter(prefix="/v1/actions", tags=["actions"], route_class=StrictRoute)

ActionId = Annotated[str, Path(max_length=100)]


class ActionRequest(BaseModel):
    """What to do with which jobs: `filter` has terms, or the word `all`. Count first, by `dry_run`.

    Only that takes the `cursor` of a count before.
    """

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
    idempotency_key: Annotated[str, Field(min_length=1, max_length=512)] | None = None


class CancelRequest(BaseModel):
    """Why an action is stopped, for the log of actions."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "the wrong filter"}]}
    )

    reason: Annotated[str, Field(max_length=200)] = ""


class ActionHeaders(BaseModel):
    """Headers of a request for an action. `Idempotency-Key` makes the same request, sent again, give the same action."""

    idempotency_key: Annotated[str, Field(min_length=1, max_length=512)] | None = None


class CountView(BaseModel):
    """How many jobs an action fits, as far as they were counted. With `cursor` there are more."""

    matched: int
    done: int
    cursor: str | None = None


class ActionView(ActionRecord):
    """An action on many jobs, and how far it is."""

    links: Links


class ActionsView(BaseModel):
    """Actions, the newest first."""

    actions: list[ActionView]


@router.post(
    "",
    status_code=202,
    response_model=ActionView,
    dependencies=[LONG],
    responses=answers(
        *(400, 403, 404, 408, 409, 413, 415, 422, 429, 503),
        also={200: ("What `dry_run` has counted", CountView)},
    ),
)
async def act(
    body: ActionRequest,
    fleet: Fleet,
    key: Submitter,
    headers: Annotated[ActionHeaders, Header()],
) -> Response:
    """Have all jobs that a filter means cancelled, held, released or made again; only those that the key sees.

    Upkeep does it; the answer says how many there are, and where to ask how far it is. Jobs that are handed in
    later are not meant. Made again are only those of tiers that the key may ask for.
    """
    wanted, is_retry = chosen(key, body.filter), body.action is BulkAction.RETRY
    if is_retry and key.tiers != list(Tier):
        wanted = Filter((*wanted.terms, Term("tier", tuple(key.tiers))))
    if body.dry_run:
        acted = await fleet.act(body.action, wanted, cursor=body.cursor, dry_run=True)
        return answer(CountView(**acted._asdict()))
    if body.cursor is not None:
        raise InvalidQuery(
            "an action means all jobs of its filter; expected a cursor with dry_run only",
            field="cursor",
        )
    # What an action on everybody's jobs tells is for no key that sees but its owner's.
    owner = "" if key.sees_all else key.owner
    named = one_key(body.idempotency_key, header=headers.idempotency_key)
    is_replay = bool(named) and await _has_begun(fleet, owner, str(named))
    if is_retry and not is_replay:
        # What is made again is handed in with this key: as many as it may have waiting.
        await room_of(fleet, key)
    record = await fleet.begin_action(
        body.action,
        wanted,
        owner=owner,
        idempotency_key=named,
        max_waiting=key.max_waiting,
        reason=body.reason,
    )
    view = _view(record)
    told = {"Location": view.links.self} | ({"Idempotent-Replayed": "true"} if is_replay else {})
    return answer(view, status=202, headers=told)


async def _has_begun(fleet: AsyncProducer, owner: str, idempotency_key: str) -> bool:
    if text_flaw(idempotency_key):
        return False  # it is refused
    try:
        await fleet.action(keyed_action_id(owner, idempotency_key))
    except ActionNotFound:
        return False
    return True


@router.get("", response_model=ActionsView, responses=answers(403, 422, 503))
async def list_actions(
    fleet: Fleet, key: Reader, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Response:
    """List the last actions of the key's owner, the newest first."""
    found = await fleet.actions(limit, owner=None if key.sees_all else key.owner)
    return answer(ActionsView.model_construct(actions=[_view(record) for record in found]))


@router.get("/{action_id}", response_model=ActionView, responses=answers(403, 404, 503))
async def read(action_id: ActionId, fleet: Fleet, key: Reader) -> Response:
    """Read how far an action is: `done` says with how many jobs it was done, `refusals` why not with some."""
    record = await fleet.action(action_id)
    if not key.sees(record.owner):
        raise ActionNotFound(record.id)
    return answer(_view(record))


@router.post(
    "/{action_id}/cancel",
    response_model=ActionView,
    responses=answers(400, 403, 404, 408, 413, 415, 422, 503),
)
async def cancel(
    action_id: ActionId,
    fleet: Fleet,
    key: Submitter,
    body: CancelRequest | None = None,
) -> Response:
    """Stop an action: what it has done stays done, and is counted. One that has ended stays as it is.

    Jobs that upkeep is about, a hundred at most, are done to the end; until then `state` is `running`, and
    `cancel_asked_at` tells that it will stop.
    """
    record = await fleet.action(action_id)
    if not key.sees(record.owner):
        raise ActionNotFound(record.id)
    stopped = await fleet.cancel_action(record.id, reason=body.reason if body else "")
    return answer(_view(stopped))


def _view(record: ActionRecord) -> ActionView:
    base = f"/v1/actions/{record.id}"
    links = Links(self=base, cancel=f"{base}/cancel")
    return ActionView.model_construct(**record.__dict__, links=links)
