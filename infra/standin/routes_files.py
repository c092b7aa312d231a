"""Routes for files: `/view`, `/upload/image` and `/upload/mask`."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import mimetypes
import os
from pathlib import Path
from typing import Any

from aiohttp import web
from PIL import Image

from infra.standin.faults_http import IN_MEMORY
from infra.standin.journal import Journal
from infra.standin.options import StandinOptions
from infra.standin.storage import FOLDER_TYPES, OutsideFolder, Storage

#: Types that a browser would execute; 0.33 serves them as attachments without their media type.
_ACTIVE_TYPES = {".html", ".xhtml", ".js", ".css", ".svg", ".xml"}
#: Those of them that 0.3.64 serves without their media type.
_DISARMED_BEFORE = {".html", ".xhtml", ".css"}


#: With the companion, a file that is not written yet is waited for so long, s.
_WAIT_S = 10.0


class FileRoutes:
    """Handlers that serve files and store uploads."""

    def __init__(self, *, options: StandinOptions, storage: Storage, journal: Journal) -> None:
        self._is_current = options.is_current
        self._storage = storage
        self._journal = journal

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; the server adds each with the prefix ``/api``, too."""
        return [
            web.get("/view", self.view),
            web.post("/upload/image", self.upload_image),
            web.post("/upload/mask", self.upload_mask),
        ]

    async def view(self, request: web.Request) -> web.StreamResponse:
        path = self._asked_path(request)
        if pool := self._storage.pool:
            if future := pool.future_of(path):
                await asyncio.wait({asyncio.wrap_future(future)}, timeout=_WAIT_S)
            if pool.is_waiting(path):
                headers = {"Comfyfleet-Written": str(pool.status()["written"])}
                return web.Response(status=425, headers=headers)
        if not os.path.isfile(path):  # noqa: PTH113, ASYNC240 - none, whatever the system says of its name
            return web.Response(status=404)
        self._journal.count("views")
        if "preview" in request.query or "channel" in request.query:
            return _converted(path, request)
        if request.get(IN_MEMORY):
            return web.Response(body=path.read_bytes(), headers=self._headers(path))
        return web.FileResponse(path, headers=self._headers(path))

    async def upload_image(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form.get("image")
        if image is None:
            return web.Response(status=400)
        if not isinstance(image, web.FileField):
            raise TypeError("image is no file")
        with image.file as file:
            return self._stored(form, image.filename, file.read())

    async def upload_mask(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form.get("image")
        if not isinstance(image, web.FileField):
            return web.Response(status=400)
        original = json.loads(str(form["original_ref"]))
        kind, subfolder = original.get("type", "output"), original.get("subfolder", "")
        path = self._storage.within(kind, subfolder, original["filename"])
        if not path.is_file():
            answer = {"name": image.filename, "subfolder": "", "type": form.get("type", "input")}
            return web.json_response(answer)
        with image.file as file:
            return self._stored(form, image.filename, _masked(path, file.read()))

    def _asked_path(self, request: web.Request) -> Path:
        query = request.query
        if "filename" not in query:
            raise web.HTTPNotFound(text="")
        name, kind = query["filename"], query.get("type", "output")
        for known in FOLDER_TYPES:
            if name.endswith(f" [{known}]"):
                name, kind = name.removesuffix(f" [{known}]"), known
        if not name or name.startswith("/") or ".." in name or kind not in FOLDER_TYPES:
            raise web.HTTPBadRequest(text="")
        try:
            folder = self._storage.within(kind, query.get("subfolder", ""))
        except OutsideFolder:
            raise web.HTTPForbidden(text="") from None
        return folder / Path(name).name

    def _headers(self, path: Path) -> dict[str, str]:
        type_ = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        disarmed = _ACTIVE_TYPES if self._is_current else _DISARMED_BEFORE
        is_disarmed = path.suffix.lower() in disarmed
        name = path.name
        if self._is_current:
            name = name.replace("\\", "\\\\").replace('"', '\\"')
        attached = "attachment; " if is_disarmed and self._is_current else ""
        return {
            "Content-Type": "application/octet-stream" if is_disarmed else type_,
            "Content-Disposition": f'{attached}filename="{name}"',
        }

    def _stored(self, form: Any, filename: str, content: bytes) -> web.Response:
        kind, subfolder = form.get("type", "input"), form.get("subfolder", "")
        if kind not in FOLDER_TYPES:
            raise ValueError(f"no folder is called {kind}")
        try:
            folder = self._storage.within(kind, subfolder)
            path = self._storage.within(kind, subfolder, filename)
        except OutsideFolder:
            return web.Response(status=400)
        self._journal.count("uploads")
        if form.get("overwrite") not in ("true", "1"):
            path = _unclaimed(path, content)
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        name = path.relative_to(folder).as_posix()
        return web.json_response({"name": name, "subfolder": subfolder, "type": kind})


def _unclaimed(path: Path, content: bytes) -> Path:
    """Return *path*, or ``name (1)``, ``name (2)``… if a file of that name has other content."""
    candidate, number = path, 1
    digest = hashlib.sha256(content).digest()
    while candidate.exists() and hashlib.sha256(candidate.read_bytes()).digest() != digest:
        candidate = path.with_name(f"{path.stem} ({number}){path.suffix}")
        number += 1
    return candidate


def _masked(original: Path, mask: bytes) -> bytes:
    with Image.open(original) as picture, Image.open(io.BytesIO(mask)) as alpha:
        merged = picture.convert("RGBA")
        merged.putalpha(alpha.convert("RGBA").resize(merged.size).getchannel("A"))
        body = io.BytesIO()
        merged.save(body, "PNG")
        return body.getvalue()


def _converted(path: Path, request: web.Request) -> web.Response:
    disposition = {"Content-Disposition": f'filename="{path.name}"'}
    body = io.BytesIO()
    with Image.open(path) as picture:
        if "preview" in request.query:
            format_, _, quality = request.query["preview"].partition(";")
            format_ = format_ if format_ in ("webp", "jpeg") else "webp"
            quality_ = int(quality) if quality.isdigit() else 90
            picture.convert("RGB").save(body, format_.upper(), quality=quality_)
        else:
            format_ = "png"
            channels = picture.convert("RGBA")
            is_alpha = request.query["channel"] == "a"
            chosen = _alpha_only(channels) if is_alpha else channels.convert("RGB")
            chosen.save(body, "PNG")
    return web.Response(body=body.getvalue(), content_type=f"image/{format_}", headers=disposition)


def _alpha_only(picture: Image.Image) -> Image.Image:
    blank = Image.new("RGBA", picture.size)
    blank.putalpha(picture.getchannel("A"))
    return blank
