"""GIF 87a and 89a: its blocks, up to the trailer."""

from __future__ import annotations

import struct
from typing import Final

from worker.media.formats.walker import Damaged, Found, Pass, Read, Scan, Walk

_IMAGE: Final = 0x2C
_EXTENSION: Final = 0x21
_TRAILER: Final = 0x3B


def walk_gif() -> Walk:
    """Walk the blocks; there must be a picture among them, and a trailer after them."""
    head = yield Read(13, "its head")
    width, height, flags = struct.unpack("<HHB", head[6:11])
    yield Pass(_colour_table_bytes(flags), "its colour table")
    images = 0
    while (introducer := (yield Read(1, "a block"))[0]) != _TRAILER:
        if introducer == _IMAGE:
            descriptor = yield Read(9, "a picture's head")
            yield Pass(_colour_table_bytes(descriptor[8]), "a picture's colour table")
            yield Read(1, "a picture's code size")
            images += 1
        elif introducer == _EXTENSION:
            yield Read(1, "an extension's label")
        else:
            raise Damaged("what follows a block is no block")
        yield Scan(_EndOfSubBlocks(), "a block")
    if not images:
        raise Damaged("it holds no picture")
    return Found("image/gif", width, height)


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


class _EndOfSubBlocks:
    """Finds the end of a chain of sub-blocks: goes from one length byte to the next, until one is 0."""

    def __init__(self) -> None:
        self._next = 0  #: Offset of the next length byte in the next piece.

    def __call__(self, piece: memoryview) -> int | None:
        at = self._next
        while at < len(piece):
            length = piece[at]
            at += 1 + length
            if not length:
                return at
        self._next = at - len(piece)
        return None
