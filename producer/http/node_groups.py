"""Routes of several nodes at once: what a person wants of them is checked, and said, of all together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from producer.contract.access import AccessKey
from producer.contract.nodes import Node
from producer.http.access import Fleet, Operator
from producer.http.nodes import CHANGES, NodesView, WishRequest
from producer.http.strict_json import StrictRoute
from producer.http.views import answer

router = APIRouter(prefix="/v1/nodes", tags=["fleet"], route_class=StrictRoute)

_Names = Annotated[
    list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=1_000)
]


class WishesRequest(WishRequest):
    """How nodes are drained or paused: either all of them, or none."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"node": ["gpu-01", "gpu-02"], "reason": "new cards"}]},
    )

    node: _Names


class ResumeRequest(BaseModel):
    """Which nodes take work again, and why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"node": ["gpu-01"]}]}
    )

    node: _Names
    reason: Annotated[str, Field(max_length=200)] = ""


@router.post("/drain", response_model=NodesView, responses=CHANGES, name="drain_several")
async def drain(request: Request, body: WishesRequest, fleet: Fleet, key: Operator) -> Response:
    """Have nodes finish what they hold, take nothing more, and stay paused."""
    return await _wanted(request, body, fleet.drain_nodes, key)


@router.post("/pause", response_model=NodesView, responses=CHANGES, name="pause_several")
async def pause(request: Request, body: WishesRequest, fleet: Fleet, key: Operator) -> Response:
    """Have nodes take nothing more; what waits behind their renders goes to other nodes."""
    return await _wanted(request, body, fleet.pause_nodes, key)


@router.post("/resume", response_model=NodesView, responses=CHANGES, name="resume_several")
async def resume(request: Request, body: ResumeRequest, fleet: Fleet, key: Operator) -> Response:
    """Have nodes take work again."""
    return await _wanted(request, body, fleet.resume_nodes, key)


async def _wanted(
    request: Request,
    body: WishesRequest | ResumeRequest,
    call: Callable[..., Awaitable[list[Node]]],
    key: AccessKey,
) -> Response:
    origin = request.client.host if request.client else ""
    wishes = body.model_dump(exclude={"node"})
    nodes = await call(body.node, **wishes, actor=f"key {key.name}", origin=origin)
    return answer(NodesView(nodes=nodes))
