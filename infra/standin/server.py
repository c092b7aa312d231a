"""Server of a stand-in node: ComfyUI's protocol over HTTP and websocket, without a GPU."""

from __future__ import annotations

import asyncio
from typing import Any, Self
from urllib.parse import urlsplit

from aiohttp import web

from infra.standin.catalog import Catalog
from infra.standin.executor import Executor
from infra.standin.faults import Faults
from infra.standin.faults_http import FaultyServer, Handler
from infra.standin.gpu import Gpu
from infra.standin.journal import Journal
from infra.standin.options import StandinOptions
from infra.standin.prompt_queue import PromptQueue
from infra.standin.routes_companion import CompanionRoutes
from infra.standin.routes_faults import FaultRoutes
from infra.standin.routes_files import FileRoutes
from infra.standin.routes_info import InfoRoutes, features
from infra.standin.routes_jobs import JobRoutes
from infra.standin.routes_prompts import PromptRoutes
from infra.standin.storage import Storage
from infra.standin.validation import Validator
from infra.standin.websocket import Sockets, exec_info

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Standin:
    """One stand-in node in the running event loop.

    ``async with Standin(StandinOptions(directory=…)) as node:`` serves at ``node.url`` until the block
    ends. `standin_thread` and `StandinProcess` do the same for code without an event loop.
    """

    def __init__(self, options: StandinOptions) -> None:
        self.options = options
        self.journal = Journal()
        self.faults = Faults(self.journal)
        self.url = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bind the port, start the executing thread, and set ``url``.

        Raises:
            OSError: the port is taken.
        """
        storage = Storage(self.options)
        catalog = Catalog(self.options, storage)
        self._sockets = Sockets(features(self.options), self.faults)
        self._queue = PromptQueue(self._sockets.send_status)
        gpu = Gpu(self.options, catalog, storage)
        self._executor = Executor(
            gpu=gpu,
            queue=self._queue,
            sockets=self._sockets,
            journal=self.journal,
            faults=self.faults,
        )
        self._runner = web.AppRunner(self._app(gpu), access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.options.host, self.options.port)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.url = f"http://{self.options.host}:{self._runner.addresses[0][1]}"
        self._publisher = asyncio.create_task(self._sockets.publish())
        self._storage = storage
        self._executor.start()

    async def run(self) -> None:
        """Serve until cancelled, or until a message cannot be published.

        Raises:
            TypeError: a client id is a JSON list or object; ComfyUI's process ends by it, too.
        """
        await self._publisher

    async def stop(self) -> None:
        """Cut every connection and end the executing thread, with the prompt it executes."""
        await asyncio.to_thread(self._executor.stop)
        self._storage.close()
        self._publisher.cancel()
        await asyncio.gather(self._publisher, return_exceptions=True)
        self._sockets.drop()
        await self._runner.cleanup()

    async def _serve_socket(self, request: web.Request) -> web.WebSocketResponse:
        return await self._sockets.serve(request, self._greeting)

    def _greeting(self, client_id: str) -> list[dict[str, Any]]:
        status = {"status": exec_info(self._queue.remaining), "sid": client_id}
        greeting: list[dict[str, Any]] = [{"type": "status", "data": status}]
        graph_node = self._executor.current_graph_node(client_id)
        if graph_node is not None:
            greeting.append({"type": "executing", "data": {"node": graph_node}})
        return greeting

    def _app(self, gpu: Gpu) -> web.Application:
        options, catalog, storage = self.options, gpu.catalog, gpu.storage
        validator = Validator(catalog, storage, is_current=options.is_current)
        prompts = PromptRoutes(
            options=options,
            queue=self._queue,
            gpu=gpu,
            validator=validator,
            journal=self.journal,
            faults=self.faults,
        )
        files = FileRoutes(options=options, storage=storage, journal=self.journal)
        info = InfoRoutes(options=options, catalog=catalog, journal=self.journal)
        shared = [
            web.get("/ws", self._serve_socket),
            *(*prompts.routes(), *files.routes(), *info.routes()),
        ]
        if options.companion:
            companion = CompanionRoutes(
                executor=self._executor, queue=self._queue, gpu=gpu, journal=self.journal
            )
            shared += companion.routes()
        faulty = FaultyServer(self.faults, vanish=self._sockets.drop)
        app = web.Application(
            client_max_size=options.max_upload_bytes,
            middlewares=[faulty.middleware(), _answer_options, _check_origin],
        )
        app.add_routes(shared)
        app.add_routes(web.route(one.method, f"/api{one.path}", one.handler) for one in shared)
        app.add_routes(info.own_routes())
        app.add_routes(FaultRoutes(self.faults).routes())
        if options.is_current:
            app.add_routes(JobRoutes(self._queue).routes())
        app.router.add_get("/{path:.*}", _not_found)
        return app


@web.middleware
async def _answer_options(request: web.Request, handler: Handler) -> web.StreamResponse:
    return web.Response() if request.method == "OPTIONS" else await handler(request)


@web.middleware
async def _check_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    # A web page of another origin may not use a node on loopback (0.3.64, `server.py`).
    origin = request.headers.get("Origin")
    host = urlsplit(f"//{request.host}")
    if origin and host.hostname in _LOOPBACK:
        source = urlsplit(origin)
        if (source.hostname, source.port) != (host.hostname, host.port):
            return web.Response(status=403)
    return await handler(request)


async def _not_found(_request: web.Request) -> web.Response:
    return web.Response(status=404)
