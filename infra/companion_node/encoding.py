"""Entry of the encoding pool into ComfyUI, as of 0.3.64 and 0.33.0.

`nodes.py` and `comfy_api/latest/_ui.py` save, `folder_paths.py` gives names, `server.py` serves
files, and `LoadImage` may read one that an earlier prompt has made.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import folder_paths  # type: ignore[import-not-found]
import nodes  # type: ignore[import-not-found]
from aiohttp import web

from .encoding_pool import EncodingPool
from .saving import count_names, lend_pictures

#: Whoever asks for a file that is not written yet waits so long, s; less than clients do.
_VIEW_S = 10.0
#: `LoadImage` waits so long for one, s.
_LOAD_S = 60.0
_VIEWS = {"/view", "/api/view"}


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Encoding:
    """The pool of one ComfyUI, and everything that must know of names without a file."""

    def __init__(self, pool: EncodingPool, *, server: Any) -> None:
        self.pool = pool
        self._server = server

    def install(self) -> None:
        """Have ComfyUI's savers use the pool; to be called before it serves."""
        # What gives names and waits for files goes first: alone it changes nothing.
        paths = folder_paths
        paths.get_save_image_path = count_names(paths.get_save_image_path, self.pool)
        paths.exists_annotated_filepath = self._exists(paths.exists_annotated_filepath)
        paths.get_annotated_filepath = self._waited(paths.get_annotated_filepath)
        self._server.app.middlewares.append(self._serve)
        lend = functools.partial(lend_pictures, pool=self.pool, prompt=self._prompt)
        _lend_to_schemas(lend)
        saver = nodes.SaveImage
        saver.save_images = lend(saver.save_images, maker=("Image", "fromarray"))

    def _prompt(self) -> Any:
        return getattr(self._server, "last_prompt_id", None)

    @web.middleware
    async def _serve(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path in _VIEWS and (path := _viewed(request.rel_url.query)):
            future = self.pool.future_of(path)
            if future is not None:
                await asyncio.wait({asyncio.wrap_future(future)}, timeout=_VIEW_S)
            if self.pool.is_waiting(path):
                return _not_yet(self.pool)
        return await handler(request)

    def _exists(self, exists: Callable[[str], bool]) -> Callable[[str], bool]:
        # Asked when a prompt is posted: it is there by the time the prompt runs.
        @functools.wraps(exists)
        def to_come(name: str) -> bool:
            if exists(name):
                return True
            try:
                return self.pool.is_waiting(folder_paths.get_annotated_filepath(name))
            except ValueError:  # it leads out of its folder, or is no name at all
                return False

        return to_come

    def _waited(self, find: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(find)
        def written(name: str, *args: Any, **kwargs: Any) -> str:
            path = find(name, *args, **kwargs)
            # Never in the thread that serves: everybody would wait.
            if threading.current_thread() is not threading.main_thread():
                self.pool.wait(path, _LOAD_S)
            return path

        return written


def _lend_to_schemas(lend: Callable[..., Any]) -> None:
    """Have classes of ComfyUI's newer kind, which show pictures by this, use the pool, too."""
    try:
        from comfy_api.latest._ui import ImageSaveHelper  # type: ignore[import-not-found]  # noqa: PLC0415

        saved = ImageSaveHelper.save_images
    except (ImportError, AttributeError):  # it is ComfyUI's own affair, and moves
        return
    maker = (ImageSaveHelper.__name__, "_convert_tensor_to_pil")
    ImageSaveHelper.save_images = staticmethod(lend(saved, maker=maker))


def _not_yet(pool: EncodingPool) -> web.Response:
    """Return what is said of a file that is still to be written: ask again, as long as it gets on."""
    written = str(pool.status()["written"])
    return web.Response(status=425, headers={"Comfyfleet-Written": written, "Retry-After": "1"})


def _viewed(query: Any) -> Path | None:
    """Return the file that ComfyUI will serve for *query*, if it lies where files are saved."""
    name, base = folder_paths.annotated_filepath(query.get("filename", ""))
    if base is None:
        base = folder_paths.get_directory_by_type(query.get("type", "output"))
    if not base or not name or "\0" in name + query.get("subfolder", ""):
        return None
    return Path(base, query.get("subfolder", ""), Path(name).name)
