"""What the bytes of an object are: their hash, and what the picture in them shows."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from typing import Any, Final

from PIL import Image

#: How a stand-in's picture begins: these bytes, the length of what follows in two, JSON.
_STAMP: Final = b"CFST"
_LENGTH_END: Final = len(_STAMP) + 2


def describe(key: str, content: bytes) -> dict[str, Any]:
    """Return `bytes` and `sha256`; `json` of a manifest; `lines` of results; of a picture, its `picture`.

    `picture` has `width`, `height`, `color` (of the first pixel, as 0xRRGGBB), `painted` (the
    facts in its pixels) and `said` (those beside them), or `error` when it does not decode.
    """
    told: dict[str, Any] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    if key.endswith("/manifest.json"):
        return told | {"json": json.loads(content)}
    if key.endswith(".jsonl.gz"):
        return told | {
            "lines": [json.loads(line) for line in gzip.decompress(content).splitlines()]
        }
    if key.endswith(".png"):
        return told | {"picture": _picture(content)}
    return told


def _picture(content: bytes) -> dict[str, Any]:
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            said = json.loads(picture.info.get("standin", "{}"))
            red, green, blue = picture.convert("RGB").getpixel((0, 0))
            return {
                "width": picture.width,
                "height": picture.height,
                "color": red << 16 | green << 8 | blue,
                "painted": _facts(picture),
                "said": said,
            }
    except (OSError, ValueError, SyntaxError) as exc:
        return {"error": str(exc)}


def _facts(picture: Image.Image) -> dict[str, Any]:
    """Return what the topmost pixels say; empty when they say nothing."""
    pixels = picture.convert("RGB").tobytes()
    if not pixels.startswith(_STAMP):
        return {}
    end = _LENGTH_END + int.from_bytes(pixels[len(_STAMP) : _LENGTH_END], "big")
    return json.loads(pixels[_LENGTH_END:end])
