"""Routes of the fleet, for who operates it: nodes, pools, and what waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from producer.aio import AsyncProducer
from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable
from producer.contract.nodes import Node, Pool
from producer.contract.queue_lines import QueueLine
from producer.http.access import Fleet, Operator
from producer.http.long_calls import LONG
from producer.http.problems import Problem, ProblemType, problem_of
from producer.http.requests import Moment
from producer.http.responses import answers
from producer.http.strict_json import StrictRoute
from producer.http.views import answer

router = APIRouter(prefix="/v1", tags=["fleet"], route_class=StrictRoute)

CHANGES = answers(400, 403, 404, 408, 413, 415, 422, 503)

Name = Annotated[str, Path(max_length=100)]
#: Names of several nodes, or pools, in a body.
Names = Annotated[
    list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=1_000)
]


class NodesView(BaseModel):
    """Every node that sent a beat within the last week."""

    nodes: list[Node]


class WishRequest(BaseModel):
    """How a node is drained, paused or quarantined.

    `until` ends it by itself. `last_of` is the node's pool, where no ready node of it would be left.
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "a new card"}]}
    )

    reason: Annotated[str, Field(max_length=200)] = ""
    until: Moment | None = None
    last_of: Annotated[str, Field(max_length=100)] = ""


class RestartRequest(BaseModel):
    """Why a node's ComfyUI is to be restarted, and whether that waits for the jobs that it holds."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"now": True}]})

    reason: Annotated[str, Field(max_length=200)] = ""
    now: Annotated[bool, Field(strict=True)] = False


class PoolView(Pool):
    """A pool: its nodes by state, what a person wants of them, and what waits for them."""

    queue: list[QueueLine]


class PoolsView(BaseModel):
    """Every pool that has nodes, or jobs that wait, or of which a person wants something."""

    pools: list[PoolView]


@router.get("/nodes", response_model=NodesView, responses=answers(403, 503))
async def list_nodes(fleet: Fleet, _: Operator) -> Response:
    """List nodes, by name, with their state and its reason."""
    return answer(NodesView(nodes=await fleet.nodes()))


@router.get("/nodes/{name}", response_model=Node, responses=answers(403, 404, 503))
async def read_node(name: Name, fleet: Fleet, _: Operator) -> Response:
    """Read one node: its state and the reason, what it runs and holds, what a person wants of it."""
    found = next((node for node in await fleet.nodes() if node.name == name), None)
    if found is None:
        raise _unknown(name)
    return answer(found)


@router.get("/pools", response_model=PoolsView, dependencies=[LONG], responses=answers(403, 503))
async def list_pools(fleet: Fleet, _: Operator) -> Response:
    """List pools with their nodes' states, and what waits by tier and reason."""
    lines = await fleet.queue()
    known = {pool.name: pool for pool in await fleet.pools()}
    names = sorted(known.keys() | {line.pool for line in lines if line.pool})
    pools = [
        PoolView(
            **known.get(name, Pool(name=name)).model_dump(),
            queue=[line for line in lines if line.pool == name],
        )
        for name in names
    ]
    return answer(PoolsView(pools=pools))


@router.post("/nodes/{name}/drain", response_model=Node, responses=CHANGES)
async def drain(name: Name, fleet: Fleet, _: Operator, body: WishRequest | None = None) -> Response:
    """Have a node finish what it holds, take nothing more, and stay paused."""
    return await _changed(fleet, name, fleet.drain_nodes, body)


@router.post("/nodes/{name}/pause", response_model=Node, responses=CHANGES)
async def pause(name: Name, fleet: Fleet, _: Operator, body: WishRequest | None = None) -> Response:
    """Have a node take nothing more; what waits behind its render goes to other nodes."""
    return await _changed(fleet, name, fleet.pause_nodes, body)


@router.post("/nodes/{name}/quarantine", response_model=Node, responses=CHANGES)
async def quarantine(name: Name, body: WishRequest, fleet: Fleet, _: Operator) -> Response:
    """Set a node aside that a person doubts, until it is cleared. The reason is needed."""
    return await _changed(fleet, name, fleet.quarantine_nodes, body)


@router.post("/nodes/{name}/resume", response_model=Node, responses=answers(403, 404, 503))
async def resume(name: Name, fleet: Fleet, _: Operator) -> Response:
    """Have a node take work again that was drained or paused."""
    return await _changed(fleet, name, fleet.resume_nodes)


@router.post("/nodes/{name}/clear", response_model=Node, responses=answers(403, 404, 503))
async def clear(name: Name, fleet: Fleet, _: Operator) -> Response:
    """End a node's quarantine, and what its worker holds against it."""
    return await _changed(fleet, name, fleet.clear_nodes)


@router.post("/nodes/{name}/probe", response_model=Node, responses=answers(403, 404, 503))
async def probe(name: Name, fleet: Fleet, _: Operator) -> Response:
    """Have a node tried now by a canary; what comes of it stands in `probe` of the node."""
    return await _changed(fleet, name, fleet.probe_nodes)


@router.post("/nodes/{name}/restart", response_model=Node, responses=CHANGES)
async def restart(
    name: Name, fleet: Fleet, _: Operator, body: RestartRequest | None = None
) -> Response:
    """Have a node's ComfyUI restarted by its worker once it holds no job, or `now`; `restart` tells what came of it."""
    return await _changed(fleet, name, fleet.restart_nodes, body)


@router.post("/nodes/{name}/rescan", status_code=204, responses=answers(403, 404, 503))
async def rescan(name: Name, fleet: Fleet, _: Operator) -> Response:
    """Have a node read its models and classes again, after files were added."""
    try:
        await fleet.rescan(name)
    except InvalidJob as exc:
        raise problem_of(exc, ProblemType.NOT_FOUND) from exc
    return Response(status_code=204)


async def _changed(
    fleet: AsyncProducer,
    name: str,
    change: Callable[..., Awaitable[list[Node]]],
    body: WishRequest | RestartRequest | None = None,
) -> Response:
    """Answer with a node that is to change, as the fleet's method *change* returns it."""
    if name not in {node.name for node in await fleet.nodes()}:
        raise _unknown(name)
    nodes = await change([name], **(body.model_dump() if body else {}))
    if not nodes:
        raise Problem(ProblemType.NOT_FOUND, "there is no node of this name any more")
    return answer(nodes[0])


def _unknown(name: str) -> Problem:
    detail = f"there is no node {printable(name)}"
    return Problem(ProblemType.NOT_FOUND, detail, advice="GET /v1/nodes has all")
