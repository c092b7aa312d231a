"""Requests and answers that go wrong: a middleware before everything else."""

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

#: Set on a request whose answer's bytes are wanted in memory, to be damaged there.
IN_MEMORY: Final = web.RequestKey("in_memory", bool)

_TICK_S: Final = 0.02
#: The way out is never blocked.
_EXEMPT: Final = "/standin/"

_DAMAGES: Final = (Fault.SLOW, Fault.TRUNCATE, Fault.MISCOUNT)
_REPLACES: Final = (Fault.FLIP, Fault.EMPTY, Fault.HTML, Fault.SWAP)


class FaultyServer:
    """Stands between the network and the handlers.

    Args:
        vanish: called when the node is to look as if its process had ended.
    """

    def __init__(self, faults: Faults, *, vanish: Callable[[], None]) -> None:
        self._faults = faults
        self._vanish = vanish

    def middleware(self) -> Middleware:
        """Return what has to be the outermost middleware."""

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
        """Wait for the rule's seconds, for its end, or for the client's."""
        deadline = time.monotonic() + (rule.seconds or float("inf"))
        while self._faults.holds(rule) and time.monotonic() < deadline:
            if request.transport is None or request.transport.is_closing():
                return
            await asyncio.sleep(_TICK_S)


def _hung_up(request: web.Request) -> asyncio.CancelledError:
    """End the connection; to be raised, which has aiohttp write nothing more."""
    if request.transport is not None:
        request.transport.close()
    return asyncio.CancelledError()
