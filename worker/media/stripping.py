"""Stripping: a picture without what is written beside its pixels, which stay as they are, bit by bit.

What a decoder needs is kept, and what says how colours are meant; all else goes: texts, EXIF, XMP, comments,
private parts that savers have made up (ComfyUI's `comf`), and what follows the picture's end.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from worker.media.formats.walker import Damaged

#: A piece of the new file: a stretch of the old one, or bytes in its place.
_Piece = tuple[int, int] | bytes

_PNG_HEAD_BYTES: Final = 8
#: PNG, third edition: critical chunks, and those of colour, transparency, resolution and animation.
_PNG_KEPT: Final = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"bKGD", b"hIST", b"pHYs", b"sBIT", b"sPLT"}
    | {b"cHRM", b"gAMA", b"iCCP", b"sRGB", b"cICP", b"mDCV", b"cLLI"}
    | {b"acTL", b"fcTL", b"fdAT"}
)
_WEBP_HEAD_BYTES: Final = 12
_WEBP_KEPT: Final = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
#: Bits of VP8X that promise an EXIF or XMP chunk.
_PROMISES: Final = 0x0C

_START_OF_SCAN: Final = 0xDA
_END_OF_IMAGE: Final = 0xD9
_COMMENT: Final = 0xFE
_APPLICATION: Final = range(0xE0, 0xF0)
#: Segments of applications that decoders need: JFIF, an ICC profile, Adobe's colour transform.
_JPEG_KEPT: Final = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
_WITHOUT_BODY: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def strip(source: Path, target: Path, *, media_type: str) -> bool:
    """Write *source* to *target* without what is beside its pixels; False for a type of which nobody knows how.

    Raises:
        Damaged: it is no such picture.
        OSError: *target* cannot be written.
    """
    pieces = _WAYS.get(media_type)
    if pieces is None:
        return False
    if not source.stat().st_size:  # which cannot be mapped
        raise Damaged("it is empty")
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            with target.open("wb") as into:
                for piece in pieces(data):
                    into.write(piece if isinstance(piece, bytes) else data[piece[0] : piece[1]])
        except (struct.error, IndexError) as exc:
            raise Damaged("it ends in the middle of a part") from exc
    return True


def _png(data: mmap.mmap) -> Iterator[_Piece]:
    yield 0, _PNG_HEAD_BYTES
    at, kind = _PNG_HEAD_BYTES, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise Damaged("it ends in the middle of a chunk")
        if kind in _PNG_KEPT:
            yield at, end
        at = end


def _webp(data: mmap.mmap) -> Iterator[_Piece]:
    chunks = list(_webp_chunks(data))
    size = sum(end - start for start, end, _ in chunks)
    yield b"RIFF" + struct.pack("<I", 4 + size) + b"WEBP"
    for start, end, kind in chunks:
        if kind == b"VP8X":
            flags = data[start + 8] & ~_PROMISES
            yield data[start : start + 8] + bytes([flags]) + data[start + 9 : end]
        else:
            yield start, end


def _webp_chunks(data: mmap.mmap) -> Iterator[tuple[int, int, bytes]]:
    whole = min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    at = _WEBP_HEAD_BYTES
    while at + 8 <= whole:
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        if end > whole:
            raise Damaged("it ends in the middle of a chunk")
        if kind in _WEBP_KEPT:
            yield at, end, kind
        at = end


def _jpeg(data: mmap.mmap) -> Iterator[_Piece]:
    yield 0, 2
    at = 2
    while True:
        if data[at] != 0xFF:  # noqa: PLR2004 - what every marker begins with
            raise Damaged("what follows a segment is no marker")
        while data[at + 1] == 0xFF:  # noqa: PLR2004 - padding
            at += 1
        marker = data[at + 1]
        if marker == _END_OF_IMAGE:
            yield at, at + 2
            return
        if marker in _WITHOUT_BODY:
            yield at, at + 2
            at += 2
            continue
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker == _START_OF_SCAN:
            found = _MARKER.search(data, end)
            if found is None:
                raise Damaged("its pixels have no end")
            end = found.start()
        if not _is_beside(marker, data[at + 4 : at + 16]):
            yield at, end
        at = end


def _is_beside(marker: int, begin: bytes) -> bool:
    kept = _JPEG_KEPT.get(marker)
    return marker == _COMMENT or (
        marker in _APPLICATION and not (kept is not None and begin.startswith(kept))
    )


_WAYS: Final[dict[str, Callable[[mmap.mmap], Iterator[_Piece]]]] = {
    "image/png": _png,
    "image/webp": _webp,
    "image/jpeg": _jpeg,
}
