"""Routes of the fleet's figures: what waits, what was done, who has and has used how much."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from producer.contract.access import AccessKey, Scope
from producer.contract.errors import InvalidJob
from producer.contract.nodes import NodeTimes
from producer.contract.operations import Action
from producer.contract.owners import HIGHEST_LIMIT, OwnerUsage
from producer.contract.queue_lines import QueueLine
from producer.contract.totals import PoolTotals
from producer.http.access import Administrator, Fleet, Operator, Watcher
from producer.http.long_calls import LONG
from producer.http.problems import Problem, ProblemType, problem_of
from producer.http.responses import answers
from producer.http.strict_json import StrictRoute
from producer.http.views import answer

router = APIRouter(prefix="/v1", tags=["fleet"], route_class=StrictRoute)

Name = Annotated[str, Path(max_length=100, examples=["shop"])]


class QueueView(BaseModel):
    """What waits, the most urgent tier of each pool first."""

    lines: list[QueueLine]


class TotalsView(BaseModel):
    """What each pool has counted since its first job, by its name; jobs that are pinned have the pool ""."""

    pools: dict[str, PoolTotals]


class OwnersView(BaseModel):
    """Owners, by name."""

    owners: list[OwnerUsage]


class ActionLogView(BaseModel):
    """Entries of the log of actions, the newest first."""

    entries: list[Action]


class LimitRequest(BaseModel):
    """How many jobs of an owner may wait; null: as many as it likes."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"max_waiting": 10_000}]}
    )

    max_waiting: Annotated[int, Field(strict=True, ge=0, le=HIGHEST_LIMIT)] | None


@router.get("/queue", response_model=QueueView, dependencies=[LONG], responses=answers(403, 503))
async def queue(fleet: Fleet, _: Operator) -> Response:
    """Show what waits by pool, tier and reason, since when, and how many ready nodes could take it."""
    return answer(QueueView(lines=await fleet.queue()))


@router.get("/totals", response_model=TotalsView, responses=answers(403, 503))
async def totals(fleet: Fleet, _: Operator) -> Response:
    """Show what pools have done since their first job: ends, attempts, seconds. The numbers only rise."""
    return answer(TotalsView(pools=await fleet.totals()))


@router.get("/owners", response_model=OwnersView, dependencies=[LONG], responses=answers(403, 503))
async def list_owners(fleet: Fleet, key: Watcher) -> Response:
    """List what owners have waiting and running, have used, and may have waiting: one's own, all for `operate`."""
    if key.allows(Scope.OPERATE):
        return answer(OwnersView(owners=await fleet.owners()))
    return answer(OwnersView(owners=[await fleet.owner(key.owner)]))


@router.get("/owners/{name:path}", response_model=OwnerUsage, responses=answers(403, 404, 503))
async def read_owner(name: Name, fleet: Fleet, key: Watcher) -> Response:
    """Read the same of one owner."""
    _check_seen(name, key)
    try:
        return answer(await fleet.owner(name))
    except InvalidJob as exc:
        raise problem_of(exc, ProblemType.NOT_FOUND) from exc


@router.put(
    "/owners/{name:path}",
    response_model=OwnerUsage,
    responses=answers(400, 403, 404, 408, 413, 415, 422, 503),
)
async def limit_owner(name: Name, body: LimitRequest, fleet: Fleet, _: Administrator) -> Response:
    """Set how many jobs of an owner may wait. What waits already stays."""
    return answer(await fleet.limit_owner(name, max_waiting=body.max_waiting))


@router.get("/action-log", response_model=ActionLogView, responses=answers(403, 422, 503))
async def action_log(
    fleet: Fleet,
    _: Administrator,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
    before: Annotated[
        str | None, Query(max_length=50, description="The `id` of the last entry that was read.")
    ] = None,
) -> Response:
    """List what persons and keys have done to many jobs, batches, nodes, or what owners keep; the newest first."""
    return answer(ActionLogView(entries=await fleet.action_log(limit, before=before)))


@router.get("/nodes/{name}/times", response_model=NodeTimes, responses=answers(403, 404, 503))
async def node_times(name: Name, fleet: Fleet, _: Operator) -> Response:
    """Show how long models take to load on a node, and graph nodes to run, as far as it was seen."""
    try:
        return answer(await fleet.node_times(name))
    except InvalidJob as exc:
        raise problem_of(exc, ProblemType.NOT_FOUND) from exc


def _check_seen(name: str, key: AccessKey) -> None:
    if name != key.owner and not key.allows(Scope.OPERATE):
        raise Problem(
            ProblemType.NOT_FOUND,
            "the key sees its own owner's figures only",
            advice=f"GET /v1/owners/{key.owner}",
        )
