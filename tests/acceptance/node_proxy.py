"""A reverse proxy before a node, as clouds and careful people put one there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, WSMsgType, web

from infra.standin.loop_thread import LoopThread

_OWN = {"host", "content-length", "transfer-encoding", "connection", "content-encoding"}


@dataclass
class NodeProxy:
    """Where it answers, and how it behaves; a test may change that at any time.

    Args:
        headers: what a request must have, else it is led to a login.
        query: likewise parameters.
        idle_s: what is silent for so long is closed: websockets, and connections that are kept.
        notices: the statuses under which it answers the next polls itself, with a web page.
    """

    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    max_body: int = 1 << 30
    takes_websockets: bool = True
    takes_head: bool = True
    notices: list[int] = field(default_factory=list)
    info_takes_s: float = 0
    idle_s: float = 60
    closed: int = 0
    refused: int = 0

    def own_answer(self, request: web.Request) -> web.Response | None:
        """Return what it says itself; None lets the node answer."""
        asked = (request.headers, self.headers), (request.query, self.query)
        if any(given.get(name) != value for given, want in asked for name, value in want.items()):
            self.refused += 1
            return web.Response(status=302, headers={"Location": "https://login.invalid/"})
        if request.method == "HEAD" and not self.takes_head:
            return web.Response(status=405)
        if (request.content_length or 0) > self.max_body:
            return web.Response(status=413, text="<html>", content_type="text/html")
        if request.path == "/ws" and not self.takes_websockets:
            return web.Response(status=400)
        if request.method == "GET" and request.path.startswith("/history/") and self.notices:
            return web.Response(status=self.notices.pop(0), text="<html>", content_type="text/html")
        return None


@contextmanager
def node_proxy(upstream: str, **rules: object) -> Iterator[NodeProxy]:
    """Have a proxy before *upstream*, in a thread, until the block's end."""
    proxy = NodeProxy(**rules)
    with LoopThread("node-proxy") as loop:
        runner = loop.run(_start(proxy, upstream))
        try:
            yield proxy
        finally:
            loop.run(runner.cleanup())


async def _start(proxy: NodeProxy, upstream: str) -> web.AppRunner:
    app = web.Application(client_max_size=1 << 30)

    session = ClientSession(upstream, auto_decompress=False)

    async def close(_: web.Application) -> None:
        await session.close()

    async def serve(request: web.Request) -> web.StreamResponse:
        own = proxy.own_answer(request)
        if own is not None:
            return own
        if request.path == "/object_info":
            await asyncio.sleep(proxy.info_takes_s)
        if request.path == "/ws":
            return await _ws(request, session, proxy)
        return await _http(request, session)

    app.on_cleanup.append(close)
    app.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=0.1, keepalive_timeout=proxy.idle_s
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    return runner


async def _http(request: web.Request, session: ClientSession) -> web.StreamResponse:
    headers = {k: v for k, v in request.headers.items() if k.lower() not in _OWN}
    body = await request.read()
    async with session.request(
        request.method, request.rel_url, data=body, headers=headers, allow_redirects=False
    ) as answer:
        headers = {k: v for k, v in answer.headers.items() if k.lower() not in _OWN}
        return web.Response(status=answer.status, body=await answer.read(), headers=headers)


async def _ws(request: web.Request, session: ClientSession, proxy: NodeProxy) -> web.StreamResponse:
    outer = web.WebSocketResponse()
    await outer.prepare(request)
    async with session.ws_connect(request.rel_url) as inner:

        async def answers() -> None:
            while True:
                try:
                    message = await asyncio.wait_for(inner.receive(), proxy.idle_s)
                except TimeoutError:
                    proxy.closed += 1
                    request.transport.abort()
                    return
                if message.type is WSMsgType.TEXT:
                    await outer.send_str(message.data)
                elif message.type is not WSMsgType.BINARY:
                    return

        pump = asyncio.ensure_future(answers())
        async for _ in outer:
            pass
        pump.cancel()
    return outer
