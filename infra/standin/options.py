"""Options of a stand-in node, set when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Version = Literal["0.3.64", "0.33.0"]

#: Model files that the node lists, by kind. They make the sample graphs valid.
DEFAULT_MODELS: Mapping[str, tuple[str, ...]] = {
    "checkpoints": ("sd_xl_base_1.0.safetensors", "v1-5-pruned-emaonly.safetensors"),
    "clip_vision": ("clip_vision_g.safetensors",),
    "controlnet": ("control-lora-depth-rank256.safetensors",),
    "diffusion_models": ("flux1-dev.safetensors",),
    "loras": ("detail-tweaker.safetensors",),
    "text_encoders": ("clip_l.safetensors", "t5xxl_fp16.safetensors"),
    "vae": ("ae.safetensors",),
}


@dataclass(frozen=True, kw_only=True)
class StandinOptions:
    """The behaviour of one stand-in node, fixed while it runs.

    Durations are seconds. ``models`` maps a kind of ``GET /models`` to file names. ``classes`` adds
    graph node classes in the form of ``GET /object_info``: ``{name: {"input": {"required": …},
    "output": [type, …], "output_node": bool}}``. ``companion``: add the companion's routes, and its
    pool of ``encoding_threads`` (0: none). ``cold_seconds``: what reading a model takes that
    was not read since the start, beside ``load_seconds``; the companion reads it ahead.
    ``encode_seconds``: what a picture takes to be encoded, beside
    what Pillow takes.
    """

    directory: Path
    host: str = "127.0.0.1"
    port: int = 0
    version: Version = "0.33.0"
    step_seconds: float = 0.05
    load_seconds: float = 0.5
    cold_seconds: float = 0.0
    models: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(DEFAULT_MODELS))
    classes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    previews: bool = False
    companion: bool = False
    encoding_threads: int = 2
    encode_seconds: float = 0.0
    max_upload_bytes: int = 104_857_600

    @property
    def is_current(self) -> bool:
        """Whether the node behaves as ComfyUI 0.33 does rather than as 0.3.64."""
        return self.version != "0.3.64"
