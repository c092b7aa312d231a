"""Faults of HTTP requests and answers, injected by the outermost middleware."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from infra.standin.faults import Fault, FaultRule, Faults
from infra.standin.faults_body import other_body, send_damaged

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Set on a request whose answer must hold its body in memory, where it is altered.
IN_MEMORY: Final = web.RequestKey("in_memory", bool)

_TICK_S: Final = 0.02
#: Paths without faults, so that a test can always remove its rules.
_EXEMPT: Final = "/standin/"

_DAMAGES: Final = (Fault.SLOW, Fault.TRUNCATE, Fault.MISCOUNT)
_REPLACES: Final = (Fault.FLIP, Fault.EMPTY, Fault.HTML, Fault.SWAP)


class FaultyServer:
    """Applies the rules for requests before, or instead of, their handlers.

    Args:
        vanish: called to cut all websockets, as if the process had ended.
    """

    def __init__(self, faults: Faults, *, vanish: Callable[[], None]) -> None:
        self._faults = faults
        self._vanish = vanish

    def middleware(self) -> Middleware:
        """Return the middleware, which must be the outermost one."""

        @web.middleware
        async def suffer(request: web.Request, handler: Handler) -> web.StreamResponse:
            rule = self._strike(request)
            return await (self._suffer(rule, request, handler) if rule else handler(request))

        return suffer

    def _strike(self, request: web.Request) -> FaultRule | None:
        if request.path.startswith(_EXEMPT):
            return None
        path = request.path.removeprefix("/api")
        return self._faults.strike(f"{request.method} {path}", request.path_qs)

    async def _suffer(
        self, rule: FaultRule, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        if rule.do in _DAMAGES or rule.do in _REPLACES:
            request[IN_MEMORY] = True
            return await self._spoil(rule, request, await handler(request))
        if rule.do is Fault.VANISH:
            self._vanish()
        answer = await handler(request) if rule.handled else None
        match rule.do:
            case Fault.ANSWER:
                return web.Response(status=rule.status, text=rule.body)
            case Fault.DELAY:
                await self._wait(rule, request)
                return answer or await handler(request)
            case Fault.HANG:
                await self._wait(rule, request)
        raise _hung_up(request)

    async def _spoil(
        self, rule: FaultRule, request: web.Request, answer: web.StreamResponse
    ) -> web.StreamResponse:
        if not isinstance(answer, web.Response) or answer.status != HTTPStatus.OK:
            return answer
        if rule.do in _REPLACES:
            return other_body(rule, answer)
        await send_damaged(rule, request, answer)
        if rule.do is Fault.MISCOUNT and rule.size > 0:
            await self._wait(rule, request)
        raise _hung_up(request)

    async def _wait(self, rule: FaultRule, request: web.Request) -> None:
        """Wait until the rule's seconds are over, the rule ends, or the client closes the connection."""
        deadline = time.monotonic() + (rule.seconds or float("inf"))
        while self._faults.holds(rule) and time.monotonic() < deadline:
            if request.transport is None or request.transport.is_closing():
                return
            await asyncio.sleep(_TICK_S)


def _hung_up(request: web.Request) -> asyncio.CancelledError:
    """Close the connection; return the exception that the caller raises so that aiohttp writes nothing."""
    if request.transport is not None:
        request.transport.close()
    return asyncio.CancelledError()
