"""Image graph nodes that need no model; they compute real results."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageFilter, ImageOps

from infra.standin.graph_nodes.class_declaration import (
    Bench,
    GraphNodeClass,
    Input,
    InputFile,
    Pictures,
    Result,
    choice,
    decimal,
    integer,
    words,
)
from infra.standin.storage import OutsideFolder, Storage

_SIDE = integer(512, 1, 16384)

_RESAMPLING = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def _empty_image(_bench: Bench, *, width: int, height: int, batch_size: int, color: int) -> Result:
    colour = (color >> 16 & 255, color >> 8 & 255, color & 255)
    return Result(values=([Image.new("RGB", (width, height), colour)] * batch_size,))


def _load_image(bench: Bench, *, image: str) -> Result:
    with Image.open(bench.storage.settle(bench.storage.annotated_path(image))) as opened:
        picture = ImageOps.exif_transpose(opened)
        alpha = picture.getchannel("A") if "A" in picture.getbands() else None
        mask = ImageOps.invert(alpha) if alpha else Image.new("L", (64, 64))
        return Result(values=([picture.convert("RGB")], [mask]))


def _existing_file(storage: Storage, inputs: Mapping[str, Any]) -> dict[str, str]:
    name = inputs["image"]
    try:
        found = storage.is_there(storage.annotated_path(name))
    except (OutsideFolder, ValueError):
        found = False
    return {} if found else {"image": f"Invalid image file: {name}"}


def _file_hash(storage: Storage, inputs: Mapping[str, Any]) -> str:
    path: Path = storage.settle(storage.annotated_path(inputs["image"]))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _scale(
    _bench: Bench, *, image: Pictures, upscale_method: str, width: int, height: int, crop: str
) -> Result:
    method = _RESAMPLING[upscale_method]
    return Result(values=([_fit(one, width, height, method, crop) for one in image],))


def _fit(
    picture: Image.Image, width: int, height: int, method: Image.Resampling, crop: str
) -> Image.Image:
    # As in ComfyUI's ImageScale: a side of 0 keeps the ratio, and both 0 keep the size.
    if not width and not height:
        return picture
    size = (
        width or max(1, round(picture.width * height / picture.height)),
        height or max(1, round(picture.height * width / picture.width)),
    )
    return ImageOps.fit(picture, size, method) if crop == "center" else picture.resize(size, method)


def _invert(_bench: Bench, *, image: Pictures) -> Result:
    return Result(values=([ImageOps.invert(one) for one in image],))


def _blur(_bench: Bench, *, image: Pictures, blur_radius: int, sigma: float) -> Result:
    del blur_radius
    return Result(values=([one.filter(ImageFilter.GaussianBlur(sigma)) for one in image],))


def _repeat(_bench: Bench, *, image: Pictures, amount: int) -> Result:
    return Result(values=(image * amount,))


def _outline(_bench: Bench, *, image: Pictures, **_: Any) -> Result:
    return Result(values=([one.filter(ImageFilter.FIND_EDGES) for one in image],))


def _string(_bench: Bench, *, value: str) -> Result:
    return Result(values=(value,))


IMAGES = (
    GraphNodeClass(
        name="EmptyImage",
        run=_empty_image,
        required={
            "width": _SIDE,
            "height": _SIDE,
            "batch_size": integer(1, 1, 4096),
            "color": integer(0, 0, 0xFFFFFF),
        },
        outputs=("IMAGE",),
    ),
    GraphNodeClass(
        name="LoadImage",
        run=_load_image,
        required={"image": InputFile()},
        outputs=("IMAGE", "MASK"),
        check=_existing_file,
        fingerprint=_file_hash,
    ),
    GraphNodeClass(
        name="ImageScale",
        run=_scale,
        required={
            "image": Input("IMAGE"),
            "upscale_method": choice(*_RESAMPLING),
            "width": integer(512, 0, 16384),
            "height": integer(512, 0, 16384),
            "crop": choice("disabled", "center"),
        },
        outputs=("IMAGE",),
    ),
    GraphNodeClass(
        name="ImageInvert", run=_invert, required={"image": Input("IMAGE")}, outputs=("IMAGE",)
    ),
    GraphNodeClass(
        name="ImageBlur",
        run=_blur,
        required={
            "image": Input("IMAGE"),
            "blur_radius": integer(1, 1, 31),
            "sigma": decimal(1.0, 0.1, 10.0),
        },
        outputs=("IMAGE",),
    ),
    GraphNodeClass(
        name="RepeatImageBatch",
        run=_repeat,
        required={"image": Input("IMAGE"), "amount": integer(1, 1, 4096)},
        outputs=("IMAGE",),
    ),
    *(
        GraphNodeClass(
            name=name,
            run=_outline,
            required={"image": Input("IMAGE")},
            optional={"safe": choice("enable", "disable"), "resolution": integer(512, 64, 16384)},
            outputs=("IMAGE",),
        )
        for name in ("HEDPreprocessor", "ScribblePreprocessor", "CannyEdgePreprocessor")
    ),
    GraphNodeClass(
        name="PrimitiveString", run=_string, required={"value": words()}, outputs=("STRING",)
    ),
)
