"""The app: routes, the gate before them, and problems in place of errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from producer.aio import AsyncProducer
from producer.contract.config.settings import Settings
from producer.contract.errors import FleetError
from producer.contract.graph.envelopes import EXPORT, is_workflow
from producer.http import (
    actions,
    batch_files,
    batches,
    dead_letters,
    events,
    figures,
    health,
    jobs,
    metrics,
    moves,
    node_groups,
    nodes,
    pools,
    previews,
    submissions,
    templates,
    uploads,
    webhooks,
)
from producer.http.gate import Gate
from producer.http.heavy_submissions import TemplateSizes, heavy_calls, part_calls
from producer.http.long_calls import LongCalls
from producer.http.openapi import describe
from producer.http.plain_submissions import PlainSubmissions
from producer.http.previews import SharedPreviews
from producer.http.problems import Problem, ProblemType, problem_of
from producer.http.request_flaws import flaw_of, placed
from producer.http.streams import Streams

_log = logging.getLogger(__name__)

#: Calls of the library at once: they mostly wait, for Redis and for S3.
_THREADS: Final = 64
#: Groups of requests that are admitted at once, and questions of `/readyz`.
_KEY_THREADS: Final = 8
_FLAWS_TOLD: Final = 20
_PARTS: Final = (
    health,
    metrics,
    moves,
    submissions,
    jobs,
    batches,
    batch_files,
    dead_letters,
    events,
    figures,
    previews,
    uploads,
    templates,
    actions,
    webhooks,
    node_groups,
    nodes,
    pools,
)
_WHERE: Final = "paths begin with /v1; GET /v1/openapi.json describes them all"
_WORKFLOW: Final = (
    f'the body is a workflow as the editor saves it; {EXPORT}, as {{"graph": {{...}}}}'
)
_OF_STATUS: Final = {
    404: (ProblemType.NOT_FOUND, "there is no such path"),
    405: (ProblemType.METHOD_NOT_ALLOWED, "the path does not take"),
}


def create_app(fleet: AsyncProducer, settings: Settings) -> FastAPI:
    """Return the API of a fleet. It keeps no state: any number of processes give the same answers."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        threads = ThreadPoolExecutor(_THREADS, "call")
        asyncio.get_running_loop().set_default_executor(threads)
        with ThreadPoolExecutor(_KEY_THREADS, "key") as of_keys:
            fleet.keys.run_in(of_keys)
            async with fleet:
                yield

    app = FastAPI(
        title="ComfyFleet",
        version=version("comfyfleet"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # Behind a proxy with TLS it would lead to http, and a client take its key there.
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        lifespan=lifespan,
    )
    app.state.fleet = fleet
    app.state.settings = settings
    app.state.previews = SharedPreviews(fleet)
    app.state.long_calls = LongCalls()
    app.state.heavy_calls = heavy_calls()
    app.state.part_calls = part_calls()
    app.state.template_sizes = TemplateSizes(fleet)
    app.state.streams = Streams(most=settings.api_max_streams)
    for part in _PARTS:
        app.include_router(part.router)
    app.add_middleware(PlainSubmissions, fleet=fleet, on_error=_on_fleet_error)
    app.add_middleware(Gate, fleet=fleet, max_body=_limits(settings))
    app.add_exception_handler(FleetError, _on_fleet_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(ClientDisconnect, _on_gone)
    app.add_exception_handler(Exception, _on_bug)
    describe(app)
    return app


def _operation_id(route: APIRoute) -> str:
    """Return a name for a route that generated clients show: `jobs_submit`."""
    return f"{route.tags[0]}_{route.name}"


def _limits(settings: Settings) -> Callable[[str], int]:
    def most(path: str) -> int:
        return settings.max_input_bytes if path == "/v1/uploads" else settings.api_max_body_bytes

    return most


async def _on_fleet_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, FleetError)  # noqa: S101 - registered for it
    problem = _placed(problem_of(error), request)
    if problem.kind is ProblemType.INTERNAL:
        _log.error("an error that no problem is for", exc_info=error)
    elif problem.status_code >= 500:  # noqa: PLR2004
        _log.warning("%s", error)
    return problem.response()


async def _on_http_error(request: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return _placed(error, request).response()
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    kind, detail = _OF_STATUS.get(
        error.status_code, (ProblemType.MALFORMED_REQUEST, "the request cannot be read")
    )
    headers, advice = dict(error.headers or {}), None
    if kind is ProblemType.METHOD_NOT_ALLOWED:
        headers["Allow"] = taken = ", ".join(sorted(_methods(request)))
        detail, advice = f"{detail} {request.method}", f"it takes {taken}"
    if kind is ProblemType.NOT_FOUND:
        path = request.url.path
        advice = "leave out the slash at its end" if path.endswith("/") and path[1:] else _WHERE
    return Problem(kind, detail, advice=advice, headers=headers).response()


def _placed(problem: Problem, request: Request) -> Problem:
    if "error" in problem.more:  # it is the library's, which knows arguments alone
        problem.flaws = [placed(flaw, _route_of(request)) for flaw in problem.flaws]
    return problem


def _route_of(request: Request) -> APIRoute | None:
    route = request.scope.get("route")
    return route if isinstance(route, APIRoute) else None


def _methods(request: Request) -> set[str]:
    """Return the methods of all routes of a path; Starlette tells those of the first.

    Of `/v1/templates/check` these are not those of `/v1/templates/{name}`, which fits it, too.
    """
    routes = (route for part in _PARTS for route in part.router.routes)
    fitting = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    found = [(str(getattr(route, "path", "")).count("{"), route) for route in fitting]
    fewest = min((names for names, _ in found), default=0)
    of_path = (route for names, route in found if names == fewest)
    methods = {method for route in of_path for method in getattr(route, "methods", None) or ()}
    return methods | {"HEAD"} if "GET" in methods else methods


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    known = _route_of(request)
    # A misspelt field first: it is why another one is missing.
    found = sorted(error.errors()[:_FLAWS_TOLD], key=lambda one: one["type"] != "extra_forbidden")
    flaws = [flaw_of(one, known) for one in found]
    if isinstance(error.body, bytes) and error.body:
        return Problem(
            ProblemType.WRONG_MEDIA_TYPE,
            "the body is of another type than expected",
            advice="send JSON, with Content-Type: application/json",
        ).response()
    told = flaws[0]
    advice = _WORKFLOW if is_workflow(error.body) else told.advice
    return Problem(ProblemType.INVALID_REQUEST, told.detail, flaws=flaws, advice=advice).response()


async def _on_gone(_: Request, __: Exception) -> Response:
    """Answer a client that went away within its body: nobody hears it, and nothing was wrong here."""
    return Response(status_code=400)


async def _on_bug(_: Request, error: Exception) -> Response:
    _log.error("a request failed by a bug", exc_info=error)
    # The server closes the connection behind it: said, so that nobody sends the next request there.
    told = "a bug of the fleet; the log has more"
    return Problem(ProblemType.INTERNAL, told, headers={"Connection": "close"}).response()
