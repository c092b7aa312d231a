"""Pictures that say what they were made from, to a person and to a test.

A painted picture shows its facts (job, seed, text, …) as words, and carries the same facts as bytes in
its topmost pixels, where they survive any lossless format.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

#: First bytes of the topmost pixels of a picture that carries facts.
_MAGIC = b"CFST"
_HEADER_BYTES = len(_MAGIC) + 2


def paint(width: int, height: int, facts: Mapping[str, Any]) -> Image.Image:
    """Paint an RGB picture of *width* by *height* pixels whose colours follow from *facts*."""
    chance = random.Random(json.dumps(facts, sort_keys=True))
    image = _backdrop(width, height, chance)
    _draw_discs(image, chance)
    _write_facts(image, facts)
    return _stamped(image, facts)


def read_facts(picture: Image.Image | bytes | Path) -> dict[str, Any] | None:
    """Return the facts a picture carries in its pixels, or None if it carries none."""
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


def _backdrop(width: int, height: int, chance: random.Random) -> Image.Image:
    ramp = Image.linear_gradient("L").rotate(chance.choice((0, 90, 180, 270)))
    bands = [
        ramp.point([low + (high - low) * level // 255 for level in range(256)])
        for low, high in ((chance.randrange(256), chance.randrange(256)) for _ in range(3))
    ]
    return Image.merge("RGB", bands).resize((width, height), Image.Resampling.BILINEAR)


def _draw_discs(image: Image.Image, chance: random.Random) -> None:
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = chance.randrange(image.width), chance.randrange(image.height)
        radius = chance.randrange(2, 3 + min(image.size) // 4)
        colour = (chance.randrange(256), chance.randrange(256), chance.randrange(256))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _write_facts(image: Image.Image, facts: Mapping[str, Any]) -> None:
    size = max(10, min(image.size) // 32)
    words = "\n".join(f"{name}: {str(value)[:96]}" for name, value in facts.items())
    ImageDraw.Draw(image).multiline_text(
        (size, 2 * size),
        words,
        fill="white",
        font=ImageFont.load_default(size),
        stroke_width=max(1, size // 10),
        stroke_fill="black",
    )


def _stamped(image: Image.Image, facts: Mapping[str, Any]) -> Image.Image:
    body = json.dumps(facts).encode()
    stamp = _MAGIC + len(body).to_bytes(2, "big") + body
    pixels = image.tobytes()
    if len(stamp) > len(pixels):
        return image
    return Image.frombytes("RGB", image.size, stamp + pixels[len(stamp) :])
