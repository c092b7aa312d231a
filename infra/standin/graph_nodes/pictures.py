"""The contract's graph nodes about encoding; ``tests/contract/custom_nodes`` has the same classes."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageChops

from infra.standin.graph_nodes.class_declaration import (
    Bench,
    GraphNodeClass,
    Input,
    Pictures,
    Result,
    integer,
    words,
)
from infra.standin.graph_nodes.saving import save_pictures_at_once

_SIDE = integer(1024, 16, 8192)


@lru_cache(maxsize=4)
def _noisy(width: int, height: int) -> Image.Image:
    ramp = Image.linear_gradient("L").resize((width, height))
    bands = [
        Image.blend(ramp, Image.effect_noise((width, height), spread), 0.1)
        for spread in (20, 24, 28)
    ]
    return Image.merge("RGB", bands)


@lru_cache(maxsize=4)
def _batch(width: int, height: int, batch_size: int, number: int) -> tuple[Image.Image, ...]:
    base = _noisy(width, height)
    shifts = [(number * 7 + place * 13) % height for place in range(batch_size)]
    return tuple(ImageChops.offset(base, 0, shift) for shift in shifts)


def _noise(_bench: Bench, *, width: int, height: int, batch_size: int, nonce: int) -> Result:
    return Result(values=(list(_batch(width, height, batch_size, nonce % 4)),))


def _planes(_bench: Bench, *, image: Pictures) -> Result:
    return Result(values=(image,))


def _blacken(_bench: Bench, *, image: Pictures) -> Result:
    return Result(values=([Image.new(one.mode, one.size) for one in image],))


def _read_back(bench: Bench, *, images: Pictures, filename_prefix: str) -> Result:
    return save_pictures_at_once(bench, images=images, filename_prefix=filename_prefix)


PICTURES = (
    GraphNodeClass(
        name="ComfyFleetNoise",
        run=_noise,
        required={
            "width": _SIDE,
            "height": _SIDE,
            "batch_size": integer(1, 1, 64),
            "nonce": integer(0, 0, 2**31 - 1),
        },
        outputs=("IMAGE",),
    ),
    GraphNodeClass(
        name="ComfyFleetPlanes",
        run=_planes,
        required={"image": Input("IMAGE")},
        outputs=("IMAGE",),
    ),
    GraphNodeClass(
        name="ComfyFleetBlacken",
        run=_blacken,
        required={"image": Input("IMAGE")},
        outputs=("IMAGE",),
    ),
    GraphNodeClass(
        name="ComfyFleetReadBack",
        run=_read_back,
        required={"images": Input("IMAGE"), "filename_prefix": words("ComfyUI")},
        is_output=True,
    ),
)
