"""Routes of the companion (`infra/companion_node`), for a stand-in with ``companion`` set."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from infra.companion_node.preloading import announced
from infra.standin.executor import Executor
from infra.standin.gpu import Gpu
from infra.standin.journal import Journal
from infra.standin.prompt_queue import PromptQueue
from infra.standin.routes_info import VRAM_BYTES
from infra.standin.storage import OutsideFolder

_OURS = "comfyfleet"
_MOST_FILES = 1000
_SETTLE_S = 10.0


class CompanionRoutes:
    """Handlers that report the executing thread, and delete delivered files."""

    def __init__(
        self, *, executor: Executor, queue: PromptQueue, gpu: Gpu, journal: Journal
    ) -> None:
        self._gpu = gpu
        self._announced = {"announced": 0, "unknown": 0}
        self._executor = executor
        self._queue = queue
        self._storage = gpu.storage
        self._journal = journal

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; the server adds each with the prefix ``/api``, too."""
        return [
            web.get("/comfyfleet/v1/status", self.status),
            web.post("/comfyfleet/v1/delete", self.delete),
            web.post("/comfyfleet/v1/failed", self.failed),
            web.post("/comfyfleet/v1/preload", self.preload),
        ]

    async def status(self, _request: web.Request) -> web.Response:
        running = self._queue.running()
        executor = {
            "alive": self._executor.is_alive,
            "prompt_id": running[0][1] if running else None,
            "running_s": self._queue.running_s(),
            "pending": len(self._queue.pending()),
        }
        memory = {"vram_total": VRAM_BYTES, "vram_free": VRAM_BYTES}
        memory |= {"ram_total": 2 * VRAM_BYTES, "ram_free": VRAM_BYTES}
        encoding = self._storage.pool.status() if self._storage.pool else None
        return web.json_response(
            {
                "version": 1,
                "executor": executor,
                "memory": memory,
                "frozen_objects": 0,
                "encoding": encoding,
                "preloading": {**self._announced, "busy": self._gpu.page_cache.is_reading()},
            }
        )

    async def delete(self, request: web.Request) -> web.Response:
        return await self._about_files(request, self._delete)

    async def failed(self, request: web.Request) -> web.Response:
        return await self._about_files(request, self._failed)

    async def preload(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return web.json_response({"error": "expected application/json"}, status=415)
        try:
            names = announced(await request.json())
        except json.JSONDecodeError:
            names = None
        if names is None:
            return web.json_response({"error": 'expected {"models": [...]}'}, status=400)
        listed = {name for found in self._gpu.options.models.values() for name in found}
        for name in names:
            self._announced["announced"] += 1
            if name in listed:
                self._gpu.page_cache.read(name)
            else:
                self._announced["unknown"] += 1
        return web.json_response({"preloads": True})

    async def _about_files(
        self, request: web.Request, does: Callable[[list[Any]], dict[str, Any]]
    ) -> web.Response:
        if request.content_type != "application/json":
            return web.json_response({"error": "expected application/json"}, status=415)
        try:
            files = (await request.json())["files"]
        except (json.JSONDecodeError, LookupError, TypeError):
            files = None
        if not isinstance(files, list) or len(files) > _MOST_FILES:
            return web.json_response({"error": 'expected {"files": [...]}'}, status=400)
        return web.json_response(await asyncio.to_thread(does, files))

    def _failed(self, files: list[Any]) -> dict[str, Any]:
        failed = []
        for file in files:
            with suppress(LookupError, TypeError, ValueError):
                path = self._storage.within(file["type"], file["subfolder"], file["filename"])
                if found := self._storage.pool and self._storage.pool.failure_of(path):
                    failed.append(
                        {
                            "file": file,
                            "exception_type": found[0],
                            "exception_message": found[1],
                        }
                    )
        return {"failed": failed}

    def _delete(self, files: list[Any]) -> dict[str, Any]:
        answer: dict[str, Any] = {"deleted": 0, "missing": 0, "refused": []}
        for file in files:
            path = self._path(file)
            if path is not None and self._storage.pool:
                self._storage.pool.drop(path, _SETTLE_S)
            if path is None or path.is_dir():
                answer["refused"].append({"file": file, "reason": f"not below {_OURS}/"})
            elif path.exists():
                path.unlink()
                _drop_empty(path.parent)
                self._journal.count("deletes")
                answer["deleted"] += 1
            else:
                answer["missing"] += 1
        return answer

    def _path(self, file: Any) -> Path | None:
        """Return the path of a file below the fleet's folder, or None if it is none."""
        try:
            name, subfolder, kind = file["filename"], file["subfolder"], file["type"]
            path = self._storage.within(kind, subfolder, name)
        except (LookupError, TypeError, ValueError, OutsideFolder):
            return None
        ours = self._storage.folder(kind) / _OURS
        is_ours = kind in {"output", "temp"} and path.parent.parent.is_relative_to(ours)
        return path if is_ours and path.name == name else None


def _drop_empty(folder: Path) -> None:
    while folder.name != _OURS and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
