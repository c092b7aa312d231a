"""A server that does to a client what no ComfyUI in order does; the test writes its routes."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from infra.standin.loop_thread import LoopThread
from worker.comfyui.client import ComfyUI

Route = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class ScriptedNode:
    """Where it answers, and every request that came, in order.

    `ports` are the clients' own: one a connection.
    """

    url: str = ""
    asked: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)


@contextmanager
def scripted_node(routes: Mapping[str, Route]) -> Iterator[ScriptedNode]:
    """Serve *routes*, `{"GET /path": handler}`, from a thread; everything else is 404."""
    node = ScriptedNode()
    runner = web.AppRunner(_app(node, routes), access_log=None, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        node.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    with LoopThread("scripted-node") as loop:
        try:
            loop.run(start())
            yield node
        finally:
            loop.run(runner.cleanup())


@contextmanager
def scripted_client(
    routes: Mapping[str, Route], **options: float
) -> Iterator[tuple[ComfyUI, ScriptedNode]]:
    """Yield a client and the scripted node it asks."""
    with scripted_node(routes) as node, ComfyUI(node.url, node="gpu-1", **options) as client:
        yield client, node


def _app(node: ScriptedNode, routes: Mapping[str, Route]) -> web.Application:
    @web.middleware
    async def note(request: web.Request, handler: Route) -> web.StreamResponse:
        node.asked.append(f"{request.method} {request.path}")
        node.headers.append(request.headers)
        node.ports.add(request.transport.get_extra_info("peername")[1])
        if request.content_length and request.content_length < 1 << 20:
            node.bodies.append(await request.read())
        return await handler(request)

    app = web.Application(middlewares=[note], client_max_size=1 << 30)
    for route, handler in routes.items():
        method, path = route.split()
        app.router.add_route(method, path, handler)
    return app


def answer(body: object, *, status: int = 200) -> Route:
    """Return a route that always answers *body* as JSON."""

    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return handle


def raw(*parts: bytes, then: str = "close") -> Route:
    """Return a route that writes *parts* to the wire, head and all.

    *then* ends the connection: `close` in order, `reset`, or `hang`: not at all.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        transport = request.transport
        for part in parts:
            transport.write(part)
            await asyncio.sleep(0.05)
        if then == "hang":
            await asyncio.sleep(60)
        if then == "reset":
            _reset_on_close(transport)
        transport.close()
        raise asyncio.CancelledError

    return handle


def _reset_on_close(transport: asyncio.Transport) -> None:
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
