"""Routes of pools: what a person wants of all nodes of a pool, for who operates the fleet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from producer.contract.nodes import Pool
from producer.http.access import Fleet, Operator
from producer.http.nodes import CHANGES, Names
from producer.http.requests import Moment
from producer.http.strict_json import StrictRoute
from producer.http.views import answer

router = APIRouter(prefix="/v1/pools", tags=["fleet"], route_class=StrictRoute)


class PoolsChanged(BaseModel):
    """The pools that were named, as they are now."""

    pools: list[Pool]


class PoolsRequest(BaseModel):
    """Which pools take work again, and why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"pool": ["video"]}]})

    pool: Names
    reason: Annotated[str, Field(max_length=200)] = ""


class PoolWishRequest(PoolsRequest):
    """How pools are drained or paused: either all of them, or none. `until` ends it by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"pool": ["video"], "reason": "the power is off tonight"}]},
    )

    until: Moment | None = None


@router.post("/drain", response_model=PoolsChanged, responses=CHANGES, name="drain_pools")
async def drain(body: PoolWishRequest, fleet: Fleet, _: Operator) -> Response:
    """Have each node of some pools finish what it holds and take nothing more, those that join later, too."""
    return await _changed(body, fleet.drain_pools)


@router.post("/pause", response_model=PoolsChanged, responses=CHANGES, name="pause_pools")
async def pause(body: PoolWishRequest, fleet: Fleet, _: Operator) -> Response:
    """Have each node of some pools take nothing more, those that join later, too."""
    return await _changed(body, fleet.pause_pools)


@router.post("/resume", response_model=PoolsChanged, responses=CHANGES, name="resume_pools")
async def resume(body: PoolsRequest, fleet: Fleet, _: Operator) -> Response:
    """Have pools take work again; a node that was itself taken out stays so."""
    return await _changed(body, fleet.resume_pools)


async def _changed(body: PoolsRequest, change: Callable[..., Awaitable[list[Pool]]]) -> Response:
    return answer(PoolsChanged(pools=await change(body.pool, **body.model_dump(exclude={"pool"}))))
