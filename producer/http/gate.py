"""What every request passes before its route: its access key, and bounds on its body's size, pace and room."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producer.aio import AsyncProducer
from producer.contract.access import AccessKey
from producer.contract.errors import AccessKeyNotValid, FleetError, FleetUnreachable
from producer.http.body_pace import OVER_S, SLOWEST, BodyPace
from producer.http.held_bodies import IN_MEMORY, ON_DISK, HeldBodies, HeldBody
from producer.http.problems import Problem, ProblemType, problem_of

_log = logging.getLogger(__name__)

#: Paths that need no key: they tell nothing of anybody's jobs.
PUBLIC: Final = frozenset({"/livez", "/readyz", "/v1/openapi.json", "/docs"})
#: How long Redis may take to know a key, s: who hands in a job is to hear within 2 s that it is away.
_ADMIT_WITHIN_S: Final = 1.8
#: How long a client may be silent within its body, s.
_SILENT_S: Final = 10.0
#: After so long a key is looked at again once the body is there, s: it may have been revoked meanwhile.
_KEY_HOLDS_S: Final = 1.0
#: Where bodies are written to a file as they come.
_SPOOLED: Final = frozenset({"/v1/uploads"})


class Gate:
    """ASGI middleware: answers in place of the app what must not reach it.

    Args:
        max_body: bytes of a body, by its path.
    """

    def __init__(
        self, app: ASGIApp, fleet: AsyncProducer, *, max_body: Callable[[str], int]
    ) -> None:
        self._app = app
        self._fleet = fleet
        self._max_body = max_body
        self._in_memory = HeldBodies(IN_MEMORY)
        self._on_disk = HeldBodies(ON_DISK)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its key and its body's room in `state`, or answer a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path, owner, state = scope["path"], "", scope.setdefault("state", {})
        if scope.get("method") == "HEAD":
            # It is a GET whose body the server does not send; a stream of events ends with its head.
            scope = {**scope, "method": "GET"}
            state["is_head"] = True
        try:
            if path not in PUBLIC:
                key = await _found(self._fleet.keys.admit, headers)
                state["key"], owner = key, key.owner
            state["held"] = (self._on_disk if path in _SPOOLED else self._in_memory).of(owner)
            body = _Body(
                receive,
                headers,
                most=self._max_body(path),
                held=state["held"],
                look=lambda: _found(self._fleet.keys.look, headers),
            )
        except Problem as problem:
            if has_body(headers):
                # Nobody reads the body, which may come for ever.
                problem.headers = {**(problem.headers or {}), "Connection": "close"}
            await problem.response()(scope, receive, send)
            return
        try:
            await self._app(scope, body.receive, send)
        finally:
            state["held"].release()


async def _found(
    ask: Callable[[str], Awaitable[AccessKey]],
    headers: Headers,
) -> AccessKey:
    try:
        async with asyncio.timeout(_ADMIT_WITHIN_S):  # `wait_for` would make a task of it
            return await ask(secret_of(headers))
    except FleetUnreachable as exc:
        _log.warning("%s", exc)
        raise problem_of(exc) from exc
    except FleetError as exc:
        raise problem_of(exc) from exc
    except TimeoutError:
        raise problem_of(FleetUnreachable("Redis does not answer in time")) from None


def has_body(headers: Headers) -> bool:
    """Tell whether a request has a body, as its headers say."""
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def secret_of(headers: Headers) -> str:
    """Return the key that a request brings; raises AccessKeyNotValid where there is none."""
    given = headers.getlist("authorization")
    if not given:
        raise AccessKeyNotValid(
            "the request has no access key", advice="send: Authorization: Bearer cfk_..."
        )
    scheme, _, secret = given[0].strip().partition(" ")
    if len(given) > 1 or scheme.lower() != "bearer":
        raise AccessKeyNotValid(
            "the Authorization header is of another form", advice="send: Bearer cfk_..."
        )
    return secret.strip()


class _Body:
    """Counts a body's bytes and seconds while it is read."""

    def __init__(
        self,
        receive: Receive,
        headers: Headers,
        *,
        most: int,
        held: HeldBody,
        look: Callable[[], Awaitable[object]],
    ) -> None:
        self._receive = receive
        self._most = most
        self._held = held
        self._look = look
        self._pace = BodyPace()
        self._bytes = 0
        self._began = time.monotonic()
        self._is_over = False
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > most:
            raise self._too_large(f"{int(announced):,} bytes")

    async def receive(self) -> Message:
        """Return the next part of the body; once it is over, wait for the client to go."""
        if self._is_over:
            return await self._receive()
        began = time.monotonic()
        try:
            async with asyncio.timeout(_SILENT_S):
                message = await self._receive()
        except TimeoutError:
            raise _too_slow(f"nothing came of the body for {_SILENT_S:g} s") from None
        if message["type"] == "http.request":
            await self._judge(message, waited_s=time.monotonic() - began)
        return message

    async def _judge(self, message: Message, *, waited_s: float) -> None:
        size = len(message.get("body", b""))
        self._bytes += size
        self._is_over = not message.get("more_body", False)
        if self._bytes > self._most:
            raise self._too_large("more than that")
        self._held.take(size)
        is_slow = self._pace.is_too_slow(size, waited_s=waited_s)
        if self._is_over:
            if time.monotonic() - self._began > _KEY_HOLDS_S:
                await self._look()
        elif is_slow:
            raise _too_slow(
                f"the body came with less than {SLOWEST:,} bytes a second for {OVER_S:g} s"
            )

    def _too_large(self, found: str) -> Problem:
        return Problem(
            ProblemType.TOO_LARGE,
            f"a body here has at most {self._most:,} bytes; this one has {found}",
            advice="upload large files by themselves, and rows in parts",
            headers={"Connection": "close"},
        )


def _too_slow(detail: str) -> Problem:
    return Problem(ProblemType.TOO_SLOW, detail, headers={"Connection": "close"})
