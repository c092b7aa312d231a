"""Routes for whoever runs the API: whether it lives, and whether it can serve. They tell nothing else."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.responses import Response

from producer.contract.errors import FleetError, FleetUnreachable
from producer.http.access import Fleet
from producer.http.problems import problem_of
from producer.http.responses import answers
from producer.http.strict_json import StrictRoute

router = APIRouter(tags=["health"], route_class=StrictRoute)

_READY_WITHIN_S: Final = 1.8


@router.get("/livez", response_class=PlainTextResponse)
async def live() -> str:
    """Answer: this process runs."""
    return "live\n"


@router.get("/readyz", response_class=PlainTextResponse, responses=answers(503))
async def ready(fleet: Fleet) -> Response:
    """Answer whether Redis does, so that requests can be served; a balancer asks this."""
    try:
        await asyncio.wait_for(fleet.keys.probe(), _READY_WITHIN_S)
    except FleetError as exc:
        return problem_of(exc).response()
    except TimeoutError:
        return problem_of(FleetUnreachable("Redis does not answer in time")).response()
    return PlainTextResponse("ready\n")


async def _schema(request: Request) -> dict[str, Any]:
    return dict(request.app.openapi())


@router.get("/v1/openapi.json", include_in_schema=False)
async def openapi(schema: Annotated[dict[str, Any], Depends(_schema)]) -> Response:
    """Answer the description of the API in OpenAPI 3.1."""
    return JSONResponse(schema)
