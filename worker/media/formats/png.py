"""PNG and animated PNG (W3C PNG, third edition): every chunk's CRC, and the length of the pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from worker.media.formats.walker import (
    Damaged,
    Found,
    PartOfWalk,
    Pass,
    Read,
    Walk,
    end_of_file,
)

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

#: Colour type → samples per pixel, and the allowed bit depths.
_COLOURS: Final = {
    0: (1, {1, 2, 4, 8, 16}),
    2: (3, {8, 16}),
    3: (1, {1, 2, 4, 8}),
    4: (2, {8, 16}),
    6: (4, {8, 16}),
}
_PALETTE: Final = 3
_TELLING: Final = frozenset({b"PLTE", b"IDAT", b"IEND"})

#: Limit of the uncompressed pixels: a square of 32,768 pixels with 4 samples of 16 bits has 8 GiB,
#: and takes some ten seconds to decompress.
_MOST_RAW_BYTES: Final = 9 << 30

#: The passes of Adam7: first column, first row, steps between columns and between rows.
_PASSES: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_WHOLE: Final = ((0, 0, 1, 1),)

_SLICE_BYTES: Final = 16 << 10  #: Input of one call of inflate, which copies what it does not use.
_INFLATED_BYTES: Final = 256 << 10  #: Output of one call, at most.


def walk_png() -> Walk:
    """Walk the chunks; check their CRCs, and that the pixels decompress to exactly the size's bytes."""
    yield Read(len(SIGNATURE), "its signature")
    header = _Header.parse((yield from _first_chunk()))
    if header.raw_bytes > _MOST_RAW_BYTES:
        size = f"{header.width:,} × {header.height:,}"  # noqa: RUF001 - times
        raise Damaged(f"its {size} pixels are more than a picture may have here")
    pixels = _Pixels(header.raw_bytes)
    kinds: set[bytes] = set()
    while b"IEND" not in kinds:
        kind = yield from _chunk(pixels.feed)
        kinds |= {kind} & _TELLING
        if header.colour == _PALETTE and b"IDAT" in kinds and b"PLTE" not in kinds:
            raise Damaged("its palette is missing")
    pixels.finish()
    yield from end_of_file("its last chunk, IEND")
    return Found("image/png", header.width, header.height)


def _first_chunk() -> PartOfWalk[bytes]:
    chunk: bytes = yield Read(25, "its IHDR chunk")
    if not chunk.startswith(b"\0\0\0\x0dIHDR"):
        raise Damaged("it does not begin with an IHDR chunk of 13 bytes")
    _check_crc(b"IHDR", zlib.crc32(chunk[4:-4]), chunk[-4:])
    return chunk[8:-4]


def _chunk(into_pixels: Callable[[memoryview], None]) -> PartOfWalk[bytes]:
    """Walk one chunk and return its kind."""
    head = yield Read(8, "a chunk's head")
    length, kind = int.from_bytes(head[:4], "big"), head[4:]
    name = kind.decode("ascii", "replace")
    if length >= 1 << 31 or not name.isascii() or not name.isalpha():
        raise Damaged("what follows a chunk is no chunk")
    crc = zlib.crc32(kind)

    def check(piece: memoryview) -> None:
        nonlocal crc
        crc = zlib.crc32(piece, crc)
        if kind == b"IDAT":
            into_pixels(piece)

    yield Pass(length, f"a chunk {name}", check)
    _check_crc(kind, crc, (yield Read(4, f"a chunk {name}")))
    return kind


def _check_crc(kind: bytes, computed: int, written: bytes) -> None:
    if computed != int.from_bytes(written, "big"):
        raise Damaged(f"a chunk {kind.decode()} does not match its checksum")


@dataclass(frozen=True)
class _Header:
    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    @classmethod
    def parse(cls, body: bytes) -> Self:
        width, height, depth, colour, packing, filters, interlace = struct.unpack(">IIBBBBB", body)
        _, depths = _COLOURS.get(colour, (0, set()))
        if not (width and height) or depth not in depths or packing or filters or interlace > 1:
            raise Damaged("its IHDR chunk makes no sense")
        return cls(width, height, depth, colour, bool(interlace))

    @property
    def raw_bytes(self) -> int:
        """Bytes of the uncompressed pixels: in each row a filter byte and the samples."""
        samples, _ = _COLOURS[self.colour]
        total = 0
        for left, top, right, down in _PASSES if self.interlaced else _WHOLE:
            columns = -(-(self.width - left) // right)
            rows = -(-(self.height - top) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + (columns * samples * self.depth + 7) // 8)
        return total


class _Pixels:
    """Decompresses the IDAT chunks and counts the bytes, without keeping them."""

    def __init__(self, expected_bytes: int) -> None:
        self._expected = expected_bytes
        self._count = 0
        self._inflate = zlib.decompressobj()

    def feed(self, piece: memoryview) -> None:
        for start in range(0, len(piece), _SLICE_BYTES):
            packed: memoryview | bytes = piece[start : start + _SLICE_BYTES]
            while packed and not self._inflate.eof:
                self._step(packed)
                packed = self._inflate.unconsumed_tail

    def finish(self) -> None:
        while not self._inflate.eof and self._step(b""):
            pass
        if not self._inflate.eof or self._count != self._expected:
            raise Damaged(f"it holds {self._count} of the {self._expected} bytes of its pixels")

    def _step(self, packed: memoryview | bytes) -> int:
        try:
            count = len(self._inflate.decompress(packed, _INFLATED_BYTES))
        except zlib.error as exc:
            raise Damaged(f"its pixels cannot be unpacked ({exc})") from exc
        self._count += count
        if self._count > self._expected:
            raise Damaged("it holds more pixels than its size needs")
        return count
