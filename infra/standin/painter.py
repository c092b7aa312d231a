"""Painter of test pictures that show, and encode in pixels, what they were made from.

A picture shows its facts (job, seed, text, …) as text, and has the same facts as JSON bytes in its
first pixels, where they survive any lossless format.
"""

from __future__ import annotations

import colorsys
import io
import json
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

#: First bytes of the pixels of a picture with facts: then their length (2 bytes) and their JSON.
_MAGIC = b"CFST"
_HEADER_BYTES = len(_MAGIC) + 2
#: Bytes whose length two bytes tell; a picture of longer facts has no stamp, as one of too few pixels.
_LONGEST_STAMP = 0xFFFF

_RIDGES = 5
_RIDGE_STEP = 8  #: Pixels between two points of a ridge.

_Colour = tuple[int, int, int]


class _Palette:
    """Matching colours around one hue from 0 to 1."""

    def __init__(self, hue: float) -> None:
        self._hue = hue
        self.zenith = _colour(hue, 0.62, 0.42)
        self.horizon = _colour(hue + 0.12, 0.38, 0.98)
        self.sun = _colour(hue + 0.16, 0.18, 1.0)

    def ridge(self, near: float) -> _Colour:
        """Return the colour of a ridge; *near* is from 0 (far, pale) to 1 (near, dark)."""
        return _colour(self._hue + 0.1 * (1 - near), 0.3 + 0.35 * near, 0.86 - 0.7 * near)


def _colour(hue: float, saturation: float, value: float) -> _Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def paint(width: int, height: int, facts: Mapping[str, Any]) -> Image.Image:
    """Paint an RGB picture of *width* by *height* pixels: hills whose shape is determined by *facts*.

    Their colours depend on the prompt's text alone, so that pictures of several seeds look alike.
    """
    chance = random.Random(json.dumps(facts, sort_keys=True))
    palette = _Palette(_hue(facts))
    image = _paint_sky(width, height, palette)
    _paint_sun(image, palette, chance)
    _paint_ridges(image, palette, chance)
    _write_facts(image, facts)
    return _stamped(image, facts)


def read_facts(picture: Image.Image | bytes | Path) -> dict[str, Any] | None:
    """Return the facts encoded in a picture's pixels, or None if there are none."""
    pixels = _opened(picture).convert("RGB").tobytes()
    size = int.from_bytes(pixels[len(_MAGIC) : _HEADER_BYTES], "big")
    if not pixels.startswith(_MAGIC) or len(pixels) < _HEADER_BYTES + size:
        return None
    facts: dict[str, Any] = json.loads(pixels[_HEADER_BYTES : _HEADER_BYTES + size])
    return facts


def _opened(picture: Image.Image | bytes | Path) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture
    return Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture)


def _hue(facts: Mapping[str, Any]) -> float:
    """Return the hue of a picture, from 0 to 1: by its prompt's text, not by its seed."""
    about = facts.get("text") or json.dumps(facts, sort_keys=True)
    return random.Random(str(about)).random()


def _paint_sky(width: int, height: int, palette: _Palette) -> Image.Image:
    ramp = Image.linear_gradient("L")
    bands = [
        ramp.point([low + (high - low) * level // 255 for level in range(256)])
        for low, high in zip(palette.zenith, palette.horizon, strict=True)
    ]
    return Image.merge("RGB", bands).resize((width, height), Image.Resampling.BILINEAR)


def _paint_sun(image: Image.Image, palette: _Palette, chance: random.Random) -> None:
    side = min(image.size)
    x = round(image.width * chance.uniform(0.2, 0.8))
    y = round(image.height * chance.uniform(0.18, 0.5))
    halo = Image.radial_gradient("L").point([max(0, 150 - level) for level in range(256)])
    for radius, mask in ((side // 2, halo), (round(side * chance.uniform(0.05, 0.11)), None)):
        if radius:
            box = (x - radius, y - radius, x + radius, y + radius)
            if mask:
                image.paste(palette.sun, box, mask.resize((2 * radius, 2 * radius)))
            else:
                ImageDraw.Draw(image).ellipse(box, fill=palette.sun)


def _paint_ridges(image: Image.Image, palette: _Palette, chance: random.Random) -> None:
    draw = ImageDraw.Draw(image)
    width, height = image.size
    for number in range(1, _RIDGES + 1):
        near = number / _RIDGES
        base = height * (0.42 + 0.42 * near)
        waves = [
            (
                height * chance.uniform(0.02, 0.07) / wave,
                wave * chance.uniform(3, 6),
                chance.random(),
            )
            for wave in (1, 2, 4, 8)
        ]
        line = [
            (
                x,
                base
                + sum(tall * math.sin(often * x / width + 7 * at) for tall, often, at in waves),
            )
            for x in range(0, width + _RIDGE_STEP, _RIDGE_STEP)
        ]
        draw.polygon([*line, (line[-1][0], height), (0, height)], fill=palette.ridge(near))


def _write_facts(image: Image.Image, facts: Mapping[str, Any]) -> None:
    size = max(10, min(image.size) // 40)
    words = "\n".join(f"{name}: {str(value)[:96]}" for name, value in facts.items())
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    _, _, _, bottom = draw.multiline_textbbox((size, 0), words, font=font)
    draw.multiline_text(
        (size, max(0, image.height - bottom - 2 * size)),
        words,
        fill="white",
        font=font,
        stroke_width=max(1, size // 12),
        stroke_fill="black",
    )


def _stamped(image: Image.Image, facts: Mapping[str, Any]) -> Image.Image:
    body = json.dumps(facts).encode()
    pixels = image.tobytes()
    if len(body) > _LONGEST_STAMP or _HEADER_BYTES + len(body) > len(pixels):
        return image
    stamp = _MAGIC + len(body).to_bytes(2, "big") + body
    return Image.frombytes("RGB", image.size, stamp + pixels[len(stamp) :])
