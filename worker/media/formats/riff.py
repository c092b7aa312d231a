"""RIFF files: WebP, WAV and AVI; their chunks, which must add up to the length in the header."""

from __future__ import annotations

import struct
from typing import Final

from worker.media.formats.walker import (
    Damaged,
    Found,
    PartOfWalk,
    Pass,
    Read,
    Walk,
    beginning,
    end_of_file,
)

_Size = tuple[int, int]

#: Lengths in the header of a WAV that was written as a stream, so that its length was not known.
_UNKNOWN: Final = frozenset({0, 0xFFFFFFFF})

_HEAD_BYTES: Final = 8  #: Of a chunk: its kind and its length.


def walk_webp() -> Walk:
    """Walk the chunks of a WebP, still or animated."""
    sizes: dict[bytes, _Size] = {}
    has_picture = False
    left = yield from _riff()
    while left:
        kind, length = yield from _chunk_head(left)
        if kind in _WEBP_SIZES:
            count, size_in = _WEBP_SIZES[kind]
            sizes[kind] = size_in((yield from beginning(count, of=length, what="its picture")))
        else:
            yield Pass(length, "its picture")
        has_picture |= kind in {b"VP8 ", b"VP8L", b"ANMF"}
        left -= _HEAD_BYTES + length
    yield from end_of_file("the length at its front")
    if not sizes or not has_picture:
        raise Damaged("it holds no picture")
    # The canvas' size, if there is one: a frame may be smaller.
    return Found("image/webp", *sizes.get(b"VP8X", next(iter(sizes.values()))))


def walk_wav() -> Walk:
    """Walk the chunks of a WAV; one of unknown length may end anywhere."""
    left = yield from _riff()
    if left + 4 in _UNKNOWN:
        yield Pass(None, "its sound")
        return Found("audio/wav")
    lacks = {b"fmt ", b"data"}
    while left:
        kind, length = yield from _chunk_head(left)
        yield Pass(length, "its sound")
        lacks.discard(kind)
        left -= _HEAD_BYTES + length
    yield from end_of_file("the length at its front")
    if lacks:
        raise Damaged("it holds no sound")
    return Found("audio/wav")


def walk_avi() -> Walk:
    """Walk the lists of an AVI; a long one consists of several RIFF files in a row."""
    size = None
    has_frames = False
    left = yield from _riff()
    while left:
        kind, length = yield from _chunk_head(left)
        left -= _HEAD_BYTES + length
        list_kind = b""
        if kind == b"LIST" and length >= len(b"hdrl"):
            list_kind = yield Read(4, "a list")
            length -= 4
        if list_kind == b"hdrl":
            head = yield from beginning(48, of=length, what="its head")
            size = struct.unpack("<II", head[40:])
        else:
            has_frames |= list_kind == b"movi"
            yield Pass(length, "its frames")
        if not left:
            left = yield from _riff(or_end=True)
    if size is None or not has_frames:
        raise Damaged("it holds no film")
    return Found("video/x-msvideo", *size)


def _riff(*, or_end: bool = False) -> PartOfWalk[int]:
    """Read a RIFF header; return the bytes of chunks that follow; 0 at the end of the file."""
    head = yield Read(12, "its head", or_end=or_end)
    if not head:
        return 0
    sign, length, _ = struct.unpack("<4sI4s", head)
    if sign != b"RIFF":
        raise Damaged("it goes on after the length at its front")
    return int(length) - 4


def _chunk_head(left: int) -> PartOfWalk[tuple[bytes, int]]:
    """Return kind and length, with padding, of the next chunk, which must fit into *left* bytes."""
    if left < _HEAD_BYTES:
        raise Damaged("its last chunk is too short")
    kind, length = struct.unpack("<4sI", (yield Read(_HEAD_BYTES, "a chunk's head")))
    if length > left - _HEAD_BYTES:
        raise Damaged("a chunk is longer than the length at its front allows")
    # Chunks are padded to an even length, but some writers leave that out for the last.
    return kind, min(length + length % 2, left - _HEAD_BYTES)


def _lossy_size(head: bytes) -> _Size:
    if head[3:6] != b"\x9d\x01\x2a":
        raise Damaged("its picture (VP8) begins wrongly")
    width, height = struct.unpack("<HH", head[6:])
    return width & 0x3FFF, height & 0x3FFF


def _lossless_size(head: bytes) -> _Size:
    if head[:1] != b"\x2f":
        raise Damaged("its picture (VP8L) begins wrongly")
    bits = int.from_bytes(head[1:], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _canvas_size(head: bytes) -> _Size:
    return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:], "little") + 1


#: Chunk kind → first bytes that hold the size, and the function that reads it.
_WEBP_SIZES: Final = {
    b"VP8 ": (10, _lossy_size),
    b"VP8L": (5, _lossless_size),
    b"VP8X": (10, _canvas_size),
}
