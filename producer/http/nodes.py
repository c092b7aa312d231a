"""Routes of the fleet, for who operates it: nodes, pools, and what waits."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel
from starlette.responses import Response

from producer.contract.errors import InvalidJob
from producer.contract.nodes import Node
from producer.contract.queue_lines import QueueLine
from producer.http.access import Fleet, Operator
from producer.http.problems import Problem, ProblemType
from producer.http.responses import answers
from producer.http.views import answer

router = APIRouter(prefix="/v1", tags=["fleet"])

Name = Annotated[str, Path(max_length=100)]


class NodesView(BaseModel):
    """Every node that sent a beat within the last week."""

    nodes: list[Node]


class PoolView(BaseModel):
    """A pool: its nodes by state, and what waits for them."""

    name: str
    nodes: dict[str, int]
    queue: list[QueueLine]


class PoolsView(BaseModel):
    """Every pool that has nodes, or jobs that wait."""

    pools: list[PoolView]


@router.get("/nodes", response_model=NodesView, responses=answers(403, 503))
async def list_nodes(fleet: Fleet, _: Operator) -> Response:
    """List nodes, by name, with their state and its reason."""
    return answer(NodesView(nodes=await fleet.nodes()))


@router.get("/pools", response_model=PoolsView, responses=answers(403, 503))
async def list_pools(fleet: Fleet, _: Operator) -> Response:
    """List pools with their nodes' states, and what waits by tier and reason."""
    nodes, lines = await fleet.nodes(), await fleet.queue()
    names = sorted({node.pool for node in nodes} | {line.pool for line in lines if line.pool})
    pools = [
        PoolView(
            name=name,
            nodes=dict(Counter(str(node.state) for node in nodes if node.pool == name)),
            queue=[line for line in lines if line.pool == name],
        )
        for name in names
    ]
    return answer(PoolsView(pools=pools))


@router.post("/nodes/{name}/rescan", status_code=204, responses=answers(403, 404, 503))
async def rescan(name: Name, fleet: Fleet, _: Operator) -> Response:
    """Have a node read its models and classes again, after files were added."""
    if name not in {node.name for node in await fleet.nodes()}:
        raise Problem(ProblemType.NOT_FOUND, "there is no node of this name")
    try:
        await fleet.rescan(name)
    except InvalidJob as exc:
        raise Problem(ProblemType.NOT_FOUND, exc.message) from exc
    return Response(status_code=204)
