"""Single jobs that are handed in as most are, past what FastAPI does for any request.

To find a route, to resolve what it depends on and to check an answer costs more than to write the job down. A request
of which all is as it should be needs none of it; any other goes FastAPI's way, which tells what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producer.acting import acting
from producer.aio import AsyncProducer
from producer.contract import access
from producer.contract.access import AccessKey
from producer.contract.errors import FleetError
from producer.http import submissions
from producer.http.problems import Problem
from producer.http.requests import JobRequest, SubmitHeaders
from producer.http.strict_json import StrictRequest, who_asks

_PATH: Final = "/v1/jobs"
#: Of the length of a body that is none of the large ones, which take turns.
_DIGITS: Final = 5
_JSON: Final = frozenset({"application/json", "application/json; charset=utf-8"})


class PlainSubmissions:
    """ASGI middleware behind the gate: answers `POST /v1/jobs` itself where nothing of the request is odd.

    Args:
        on_error: answers an error of the library.
    """

    def __init__(
        self,
        app: ASGIApp,
        fleet: AsyncProducer,
        on_error: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        self._app = app
        self._fleet = fleet
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a plain submission; pass on any other request, with the body that was read of it."""
        if not (scope["type"] == "http" and scope["path"] == _PATH and _is_plain(scope)):
            await self._app(scope, receive, send)
            return
        request = StrictRequest(scope, receive)
        try:
            body = await request.body()
            wanted = await _wanted(request)
        except ClientDisconnect:
            return
        except Problem as problem:  # of the gate: it comes too slowly, or there is too much of it
            await problem.response()(scope, receive, send)
            return
        if wanted is None:
            await self._app(scope, _again(body, receive), send)
            return
        response = await self._answer(request, *wanted)
        await response(scope, receive, send)

    async def _answer(self, request: Request, body: JobRequest, headers: SubmitHeaders) -> Response:
        who, key = who_asks(request), request.state.key
        try:
            with acting(who.actor, who.origin, is_stranger=who.is_stranger):
                return await submissions.submit(request, body, self._fleet, key, headers)
        except Problem as problem:
            return problem.response()
        except FleetError as exc:
            return await self._on_error(request, exc)


def _is_plain(scope: Scope) -> bool:
    key: AccessKey | None = scope.get("state", {}).get("key")
    headers = Headers(scope=scope)
    return (
        scope["method"] == "POST"
        and not scope["query_string"]
        and key is not None
        and key.allows(access.Scope.SUBMIT)
        and headers.get("content-type", "").lower() in _JSON
        and "content-encoding" not in headers
        and len(length := headers.get("content-length", "")) <= _DIGITS
        and length.isdecimal()
    )


async def _wanted(request: StrictRequest) -> tuple[JobRequest, SubmitHeaders] | None:
    """Return what a request wants; None where FastAPI is to say what is wrong with it."""
    given = request.headers
    if len(given.getlist("idempotency-key")) > 1 or len(given.getlist("prefer")) > 1:
        return None
    try:
        headers = SubmitHeaders(
            idempotency_key=given.get("idempotency-key"), prefer=given.get("prefer")
        )
        return JobRequest.model_validate(await request.json()), headers
    except (Problem, ValidationError):
        return None


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already once more, and then what comes."""
    is_given = False

    async def give() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return give
