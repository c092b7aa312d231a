"""Saving graph nodes: write files or text, and list them in history in ComfyUI's shapes."""

from __future__ import annotations

import json
import random
import string
import struct
import time
import wave
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from infra.standin.graph_nodes.class_declaration import (
    Bench,
    GraphNodeClass,
    Input,
    Pictures,
    Result,
    choice,
    decimal,
    integer,
    words,
)
from infra.standin.graph_nodes.sampling import Latent
from infra.standin.storage import SaveTarget, Storage

_PREFIX = words("ComfyUI")
_FPS = decimal(6.0, 0.01, 1000.0)
_SAMPLE_RATE = 8000


def save_pictures(bench: Bench, *, images: Pictures, filename_prefix: str = "ComfyUI") -> Result:
    """Save each picture as a PNG with the graph in its metadata, as SaveImage does."""
    return _save_pngs(bench, images, _target(bench, images, filename_prefix), level=4)


def save_pictures_at_once(bench: Bench, *, images: Pictures, filename_prefix: str) -> Result:
    """Save as `save_pictures` does, without the companion's pool: who calls may read the files."""
    target = _target(bench, images, filename_prefix)
    result = _save_pngs(bench, images, target, level=4, at_once=True)
    return Result(ui=result.ui)


def _preview_pictures(bench: Bench, *, images: Pictures) -> Result:
    suffix = "".join(random.choices(string.ascii_lowercase, k=5))
    target = _target(bench, images, f"ComfyUI_temp_{suffix}", kind="temp")
    return _save_pngs(bench, images, target, level=1)


def _target(bench: Bench, images: Pictures, prefix: str, *, kind: str = "output") -> SaveTarget:
    width, height = images[0].size
    return bench.storage.save_target(prefix, kind=kind, width=width, height=height)


def _save_pngs(
    bench: Bench, images: Pictures, target: SaveTarget, *, level: int, at_once: bool = False
) -> Result:
    entries = []
    for index, picture in enumerate(images):
        name = target.name(".png", index=index)
        path = target.folder / name
        save = picture.save if at_once else partial(bench.save_picture, picture)
        save(path, pnginfo=_png_info(bench), compress_level=level)
        entries.append(target.entry(name))
    return Result(ui={"images": entries}, values=(images,))


def _png_info(bench: Bench) -> PngInfo:
    info = PngInfo()
    info.add_text("prompt", json.dumps(bench.graph))
    for name, value in (bench.extra_data.get("extra_pnginfo") or {}).items():
        info.add_text(name, json.dumps(value))
    info.add_text("standin", json.dumps(bench.facts))
    return info


def _send_pictures(bench: Bench, *, images: Pictures) -> Result:
    for index, picture in enumerate(images):
        bench.progress(index, len(images), picture, kind="PNG")
    return Result()


def _never_twice(_storage: Storage, _inputs: Mapping[str, Any]) -> str:
    return str(time.time_ns())


def _save_animation(extension: str, **fixed: Any) -> Callable[..., Result]:
    def save(
        bench: Bench, *, images: Pictures, filename_prefix: str, fps: float, **_: Any
    ) -> Result:
        target = _target(bench, images, filename_prefix)
        entry = target.entry(target.name(extension))
        _write_animation(images, target, extension, fps, fixed)
        return Result(ui={"images": [entry], "animated": [True]}, values=(images,))

    return save


def _save_gif(
    bench: Bench, *, images: Pictures, frame_rate: float, filename_prefix: str, **_: Any
) -> Result:
    target = _target(bench, images, filename_prefix)
    _write_animation(images, target, ".gif", frame_rate, {"loop": 0})
    entry = {
        **target.entry(target.name(".gif")),
        "format": "image/gif",
        "frame_rate": frame_rate,
    }
    return Result(ui={"gifs": [entry]})


def _write_animation(
    images: Pictures, target: SaveTarget, extension: str, fps: float, fixed: dict[str, Any]
) -> None:
    # Pillow would merge equal frames in a row, and the frame count would be wrong.
    frames = [_numbered(picture, index) for index, picture in enumerate(images)]
    frames[0].save(
        target.folder / target.name(extension),
        save_all=True,
        append_images=frames[1:],
        duration=int(1000 / fps),
        **fixed,
    )


def _numbered(picture: Image.Image, index: int) -> Image.Image:
    frame = picture.copy()
    frame.putpixel((frame.width - 1, frame.height - 1), (index % 256, index // 256 % 256, 0))
    return frame


def _save_latent(bench: Bench, *, samples: Latent, filename_prefix: str) -> Result:
    target = bench.storage.save_target(filename_prefix)
    name = target.name(".latent")
    # The layout of a safetensors file: header length, JSON header, no tensors.
    header = json.dumps({"__metadata__": {key: str(v) for key, v in vars(samples).items()}})
    (target.folder / name).write_bytes(struct.pack("<Q", len(header)) + header.encode())
    return Result(ui={"latents": [target.entry(name)]})


def _empty_audio(_bench: Bench, *, duration: float, **_: Any) -> Result:
    return Result(values=(b"\0\0" * int(duration * _SAMPLE_RATE),))


def _save_audio(bench: Bench, *, audio: bytes, filename_prefix: str) -> Result:
    target = bench.storage.save_target(filename_prefix)
    name = target.name(".wav")
    with wave.open(str(target.folder / name), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_SAMPLE_RATE)
        sound.writeframes(audio)
    return Result(ui={"audio": [target.entry(name)]})


def _preview_any(_bench: Bench, *, source: Any) -> Result:
    text = source if isinstance(source, str) else str(source)
    return Result(ui={"text": [text]}, values=(text,))


SAVERS = (
    GraphNodeClass(
        name="SaveImage",
        run=save_pictures,
        required={"images": Input("IMAGE"), "filename_prefix": _PREFIX},
        current_outputs=("IMAGE",),
        is_output=True,
    ),
    GraphNodeClass(
        name="PreviewImage",
        run=_preview_pictures,
        required={"images": Input("IMAGE")},
        current_outputs=("IMAGE",),
        is_output=True,
    ),
    GraphNodeClass(
        name="SaveImageWebsocket",
        run=_send_pictures,
        required={"images": Input("IMAGE")},
        is_output=True,
        fingerprint=_never_twice,
    ),
    GraphNodeClass(
        name="SaveAnimatedWEBP",
        run=_save_animation(".webp", lossless=True),
        required={
            "images": Input("IMAGE"),
            "filename_prefix": _PREFIX,
            "fps": _FPS,
            "lossless": Input("BOOLEAN", {"default": True}),
            "quality": integer(80, 0, 100),
            "method": choice("default", "fastest", "slowest"),
        },
        current_outputs=("IMAGE",),
        is_output=True,
        restyled=True,
    ),
    GraphNodeClass(
        name="SaveAnimatedPNG",
        run=_save_animation(".png"),
        required={
            "images": Input("IMAGE"),
            "filename_prefix": _PREFIX,
            "fps": _FPS,
            "compress_level": integer(4, 0, 9),
        },
        current_outputs=("IMAGE",),
        is_output=True,
        restyled=True,
    ),
    GraphNodeClass(
        name="VHS_VideoCombine",
        run=_save_gif,
        required={
            "images": Input("IMAGE"),
            "frame_rate": decimal(8.0, 1.0, 1000.0),
            "loop_count": integer(0, 0, 100),
            "filename_prefix": words("AnimateDiff"),
            "format": choice("image/gif", "image/webp"),
            "pingpong": Input("BOOLEAN", {"default": False}),
            "save_output": Input("BOOLEAN", {"default": True}),
        },
        is_output=True,
    ),
    GraphNodeClass(
        name="SaveLatent",
        run=_save_latent,
        required={"samples": Input("LATENT"), "filename_prefix": words("latents/ComfyUI")},
        is_output=True,
    ),
    GraphNodeClass(
        name="EmptyAudio",
        run=_empty_audio,
        required={
            "duration": decimal(60.0, 0.0, 1e9),
            "sample_rate": integer(44100, 1, 192000),
            "channels": integer(2, 1, 2),
        },
        outputs=("AUDIO",),
    ),
    GraphNodeClass(
        name="SaveAudio",
        run=_save_audio,
        required={"audio": Input("AUDIO"), "filename_prefix": words("audio/ComfyUI")},
        current_outputs=("AUDIO",),
        is_output=True,
    ),
    GraphNodeClass(
        name="PreviewAny",
        run=_preview_any,
        required={"source": Input("*")},
        current_outputs=("STRING",),
        is_output=True,
    ),
)
