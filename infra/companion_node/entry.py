"""Entry of the companion into ComfyUI, as of 0.3.64 and 0.33.0: `server.py`, `folder_paths.py`."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import comfy.model_management as memory  # type: ignore[import-not-found]
import folder_paths  # type: ignore[import-not-found]
from aiohttp import web
from server import PromptServer  # type: ignore[import-not-found]

from .deletion import delete
from .encoding import Encoding
from .encoding_pool import EncodingPool
from .executor import Executor
from .left_parts import start_removing
from .memory import read_memory
from .model_files import files_named
from .preloading import MOST_NAMES, Preloader, announced
from .settings import Settings

#: Of the routes: what is said under them may gain fields, and loses none.
VERSION = 1
_MOST_FILES = 1000
#: A file that is being written is waited for so long before it is deleted, s.
_SETTLE_S = 10.0

_log = logging.getLogger(__name__)


def install() -> None:
    """Add the routes, and what is done when ComfyUI starts to serve."""
    server = PromptServer.instance
    settings = Settings.read()
    preloader = Preloader(files_named, read_memory) if settings.preloads else None
    companion = _Companion(server, _pool(settings, server), preloader)
    routes = server.routes
    routes.get(f"/comfyfleet/v{VERSION}/status")(companion.status)
    routes.post(f"/comfyfleet/v{VERSION}/delete")(companion.delete)
    routes.post(f"/comfyfleet/v{VERSION}/failed")(companion.failed)
    routes.post(f"/comfyfleet/v{VERSION}/preload")(companion.preload)
    # By then every custom node is imported and the executing thread runs; no prompt has come yet.
    server.app.on_startup.append(companion.start)


def _pool(settings: Settings, server: Any) -> EncodingPool | None:
    if not settings.encoding_threads:
        return None
    pool = EncodingPool(
        threads=settings.encoding_threads, most_bytes=settings.encoding_mb * 1_000_000
    )
    try:
        Encoding(pool, server=server).install()
    except Exception:  # noqa: BLE001 - another ComfyUI than those we know: the rest of the companion goes on
        _log.exception("comfyfleet companion: pictures are encoded as ever")
        return None
    return pool


class _Companion:
    def __init__(self, server: Any, pool: EncodingPool | None, preloader: Preloader | None) -> None:
        self._executor = Executor(server)
        self._preloader = preloader
        self._pool = pool
        self._frozen = 0

    async def start(self, _app: web.Application) -> None:
        self._executor.find()
        start_removing(_folders()["output"])  # ComfyUI empties the other folder itself
        # ComfyUI collects all garbage between two prompts, every ten seconds: 0.3 s over what was
        # imported. What is frozen is looked at no more. Once only: of what is frozen later, as
        # models are, cycles would never be freed.
        gc.collect()
        gc.freeze()
        self._frozen = gc.get_freeze_count()
        _log.info("comfyfleet companion %d: %d objects frozen", VERSION, self._frozen)

    async def status(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "version": VERSION,
                "executor": self._executor.status(),
                "memory": _memory(),
                "frozen_objects": self._frozen,
                "encoding": self._pool.status() if self._pool else None,
                "preloading": self._preloader.status() if self._preloader else None,
            }
        )

    async def delete(self, request: web.Request) -> web.Response:
        """Delete `{"files": [{"filename", "subfolder", "type"}, ...]}`, as the history lists them."""
        return await self._about_files(request, partial(delete, settle=self._settle))

    async def failed(self, request: web.Request) -> web.Response:
        """Return which of `{"files": [...]}` could not be written, and what was raised.

        `{"failed": [{"file", "exception_type", "exception_message"}, ...]}`
        """
        return await self._about_files(request, self._failures)

    async def preload(self, request: web.Request) -> web.Response:
        """Bring the models of `{"models": [name, ...]}`, as ComfyUI lists them, into the page cache."""
        if request.content_type != "application/json":
            return web.json_response({"error": "expected application/json"}, status=415)
        try:
            names = announced(await request.json())
        except ValueError:
            names = None
        if names is None:
            wanted = f'expected {{"models": [...]}} with up to {MOST_NAMES} names'
            return web.json_response({"error": wanted}, status=400)
        if self._preloader:
            self._preloader.announce(names)
        return web.json_response({"preloads": self._preloader is not None})

    async def _about_files(self, request: web.Request, does: Any) -> web.Response:
        # A page in somebody's browser cannot post this type without being asked first.
        if request.content_type != "application/json":
            return web.json_response({"error": "expected application/json"}, status=415)
        try:
            files = (await request.json())["files"]
        except (ValueError, LookupError, TypeError):
            files = None
        if not isinstance(files, list) or len(files) > _MOST_FILES:
            wanted = f'expected {{"files": [...]}} with up to {_MOST_FILES} files'
            return web.json_response({"error": wanted}, status=400)
        # In a thread: a disk may be slow, and this loop serves everything else.
        done = await asyncio.get_running_loop().run_in_executor(None, does, files, _folders())
        return web.json_response(done)

    def _settle(self, path: str) -> None:
        if self._pool is not None:
            self._pool.drop(path, _SETTLE_S)

    def _failures(self, files: list[Any], folders: dict[str, Path]) -> dict[str, Any]:
        failed = []
        for file in files:
            with suppress(LookupError, TypeError, OSError, ValueError):
                path = folders[file["type"]] / file["subfolder"] / file["filename"]
                failure = self._pool.failure_of(path) if self._pool else None
                if failure is not None:
                    kind, message = failure
                    failed.append(
                        {"file": file, "exception_type": kind, "exception_message": message}
                    )
        return {"failed": failed}


def _folders() -> dict[str, Path]:
    # Asked each time: some extensions move them while ComfyUI runs.
    return {
        "output": Path(folder_paths.get_output_directory()),
        "temp": Path(folder_paths.get_temp_directory()),
    }


def _memory() -> dict[str, int | None]:
    """Return bytes. On a CPU, VRAM is the RAM, as in ComfyUI's own `/system_stats`."""
    known: dict[str, int | None] = {}
    for name, device in (("vram", memory.get_torch_device), ("ram", _cpu)):
        try:
            known[f"{name}_total"] = int(memory.get_total_memory(device()))
            known[f"{name}_free"] = int(memory.get_free_memory(device()))
        except Exception:  # noqa: BLE001 - a driver that has failed raises whatever it likes
            known |= {f"{name}_total": None, f"{name}_free": None}
    return known


def _cpu() -> Any:
    return memory.torch.device("cpu")
