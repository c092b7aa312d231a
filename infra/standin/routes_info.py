"""Routes with information about the node: classes, models, system, features, and the journal."""

from __future__ import annotations

import platform
import sys
from typing import Any

from aiohttp import web

from infra.standin.catalog import Catalog
from infra.standin.journal import Journal
from infra.standin.options import StandinOptions

#: Kinds that `GET /models` lists even if the node has no file of them.
_MODEL_KINDS = (
    *("checkpoints", "configs", "loras", "vae", "text_encoders", "diffusion_models"),
    *("clip_vision", "style_models", "embeddings", "diffusers", "vae_approx", "controlnet"),
    *("gligen", "upscale_models", "hypernetworks", "photomaker", "audio_encoders"),
)
VRAM_BYTES = 24 * 2**30


def features(options: StandinOptions) -> dict[str, Any]:
    """Return the content of `GET /features` and of the websocket's `feature_flags`."""
    known: dict[str, Any] = {
        "supports_preview_metadata": True,
        "max_upload_size": options.max_upload_bytes,
    }
    if options.is_current:
        known |= {
            "supports_model_type_tags": True,
            "extension": {"manager": {"supports_v4": True}},
            "node_replacements": True,
            "assets": False,
        }
    return known


class InfoRoutes:
    """Handlers that only read."""

    def __init__(self, *, options: StandinOptions, catalog: Catalog, journal: Journal) -> None:
        self._options = options
        self._catalog = catalog
        self._journal = journal

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; the server adds each with the prefix ``/api``, too."""
        return [
            web.get("/object_info", self.object_info),
            web.get("/object_info/{name}", self.object_info_of),
            web.get("/system_stats", self.system_stats),
            web.get("/features", self.features),
            web.get("/models", self.model_kinds),
            web.get("/models/{kind}", self.models),
            web.get("/embeddings", self.embeddings),
            web.get("/extensions", self.extensions),
        ]

    def own_routes(self) -> list[web.RouteDef]:
        """Return the routes that ComfyUI does not have."""
        return [web.get("/standin/journal", self.journal)]

    async def object_info(self, _request: web.Request) -> web.Response:
        return web.json_response(self._catalog.object_info())

    async def object_info_of(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return web.json_response(
            self._catalog.object_info([name] if self._catalog.find(name) else [])
        )

    async def system_stats(self, _request: web.Request) -> web.Response:
        memory = {"vram_total": VRAM_BYTES, "vram_free": VRAM_BYTES}
        torch_memory = {"torch_vram_total": 0, "torch_vram_free": 0}
        device = {"name": "cuda:0 stand-in", "type": "cuda", "index": 0, **memory, **torch_memory}
        system = {
            "os": sys.platform if self._options.is_current else "posix",
            "ram_total": 2 * VRAM_BYTES,
            "ram_free": VRAM_BYTES,
            "comfyui_version": self._options.version,
            "python_version": platform.python_version(),
            "pytorch_version": "none (stand-in)",
            "embedded_python": False,
            "argv": ["infra.standin"],
        }
        return web.json_response({"system": system, "devices": [device]})

    async def features(self, _request: web.Request) -> web.Response:
        return web.json_response(features(self._options))

    async def model_kinds(self, _request: web.Request) -> web.Response:
        return web.json_response(list(dict.fromkeys((*_MODEL_KINDS, *self._options.models))))

    async def models(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        if kind not in _MODEL_KINDS and kind not in self._options.models:
            return web.Response(status=404)
        return web.json_response(list(self._options.models.get(kind, ())))

    async def embeddings(self, _request: web.Request) -> web.Response:
        names = self._options.models.get("embeddings", ())
        return web.json_response([name.rpartition(".")[0] or name for name in names])

    async def extensions(self, _request: web.Request) -> web.Response:
        return web.json_response([])

    async def journal(self, _request: web.Request) -> web.Response:
        return web.json_response(self._journal.as_json())
