"""Routes of several nodes at once: what a person wants of them is checked, and said, of all together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from producer.contract.nodes import Node
from producer.http.access import Fleet, Operator
from producer.http.nodes import CHANGES, Names, NodesView, WishRequest
from producer.http.strict_json import StrictRoute
from producer.http.views import answer

router = APIRouter(prefix="/v1/nodes", tags=["fleet"], route_class=StrictRoute)


class WishesRequest(WishRequest):
    """How nodes are drained, paused or quarantined: either all of them, or none."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"node": ["gpu-01", "gpu-02"], "reason": "new cards"}]},
    )

    node: Names


class NodesRequest(BaseModel):
    """Which nodes take work again, are cleared, or are tried, and why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"node": ["gpu-01"]}]}
    )

    node: Names
    reason: Annotated[str, Field(max_length=200)] = ""


class RestartsRequest(NodesRequest):
    """The ComfyUIs of which nodes are to be restarted, and whether that waits for the jobs that they hold."""

    now: Annotated[bool, Field(strict=True)] = False


@router.post("/drain", response_model=NodesView, responses=CHANGES, name="drain_several")
async def drain(body: WishesRequest, fleet: Fleet, _: Operator) -> Response:
    """Have nodes finish what they hold, take nothing more, and stay paused."""
    return await _changed(body, fleet.drain_nodes)


@router.post("/pause", response_model=NodesView, responses=CHANGES, name="pause_several")
async def pause(body: WishesRequest, fleet: Fleet, _: Operator) -> Response:
    """Have nodes take nothing more; what waits behind their renders goes to other nodes."""
    return await _changed(body, fleet.pause_nodes)


@router.post("/resume", response_model=NodesView, responses=CHANGES, name="resume_several")
async def resume(body: NodesRequest, fleet: Fleet, _: Operator) -> Response:
    """Have nodes take work again."""
    return await _changed(body, fleet.resume_nodes)


@router.post("/quarantine", response_model=NodesView, responses=CHANGES, name="quarantine_several")
async def quarantine(body: WishesRequest, fleet: Fleet, _: Operator) -> Response:
    """Set nodes aside that a person doubts, until they are cleared. The reason is needed."""
    return await _changed(body, fleet.quarantine_nodes)


@router.post("/clear", response_model=NodesView, responses=CHANGES, name="clear_several")
async def clear(body: NodesRequest, fleet: Fleet, _: Operator) -> Response:
    """End quarantines, and what workers hold against their nodes."""
    return await _changed(body, fleet.clear_nodes)


@router.post("/probe", response_model=NodesView, responses=CHANGES, name="probe_several")
async def probe(body: NodesRequest, fleet: Fleet, _: Operator) -> Response:
    """Have nodes tried now by canaries; what comes of it stands in `probe` of each node."""
    return await _changed(body, fleet.probe_nodes)


@router.post("/restart", response_model=NodesView, responses=CHANGES, name="restart_several")
async def restart(body: RestartsRequest, fleet: Fleet, _: Operator) -> Response:
    """Have the ComfyUIs of nodes restarted by their workers; all of them, or none."""
    return await _changed(body, fleet.restart_nodes)


async def _changed(
    body: WishesRequest | NodesRequest, change: Callable[..., Awaitable[list[Node]]]
) -> Response:
    return answer(NodesView(nodes=await change(body.node, **body.model_dump(exclude={"node"}))))
