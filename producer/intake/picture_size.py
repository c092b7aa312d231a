"""The size of a picture in pixels, by its header: a few bytes can claim so many that whoever opens it runs out of memory."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Final

_HEAD_BYTES: Final = 32
#: Segments of a JPEG before its size; a camera writes about twenty.
_MOST_SEGMENTS: Final = 500
#: Markers of a JPEG that hold its size: SOF0 to SOF15 without DHT, JPG and DAC.
_SIZES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers that have no body.
_BARE: Final = frozenset({0x01, *range(0xD0, 0xDA)})
_FILLER: Final = 0xFF

Size = tuple[int, int]


def picture_size(opened: BinaryIO) -> Size | None:
    """Return width and height of a PNG, JPEG, GIF, BMP or WEBP, in pixels; None for anything else.

    Args:
        opened: at its beginning; read as far as the header goes.
    """
    head = opened.read(_HEAD_BYTES)
    for magic, size_of in _READERS.items():
        if head.startswith(magic):
            with suppress(struct.error, IndexError, ValueError):
                return size_of(head, opened)
    return None


def _png(head: bytes, _: BinaryIO) -> Size:
    return struct.unpack_from(">II", head, 16)


def _gif(head: bytes, _: BinaryIO) -> Size:
    return struct.unpack_from("<HH", head, 6)


def _bmp(head: bytes, _: BinaryIO) -> Size:
    width, height = struct.unpack_from("<ii", head, 18)
    return abs(width), abs(height)  # one that is stored from the top down has a negative height


def _webp(head: bytes, _: BinaryIO) -> Size | None:
    kind = head[8:16]
    if kind == b"WEBPVP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"WEBPVP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"WEBPVP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg(_head: bytes, opened: BinaryIO) -> Size | None:
    opened.seek(2)
    for _ in range(_MOST_SEGMENTS):
        if opened.read(1) != b"\xff":
            return None
        while (marker := opened.read(1)[0]) == _FILLER:
            pass
        if marker in _BARE:
            continue
        (length,) = struct.unpack(">H", opened.read(2))
        if marker in _SIZES:
            height, width = struct.unpack(">xHH", opened.read(5))
            return width, height
        opened.seek(length - 2, 1)
    return None


_READERS: Final[dict[bytes, Callable[[bytes, BinaryIO], Size | None]]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8\xff": _jpeg,
    b"GIF8": _gif,
    b"BM": _bmp,
    b"RIFF": _webp,
}
