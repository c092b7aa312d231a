"""JPEG (ITU T.81): its segments and scans, from the first marker to the last."""

from __future__ import annotations

import re
import struct
from typing import Final

from worker.media.formats.walker import (
    Damaged,
    Found,
    PartOfWalk,
    Pass,
    Read,
    Scan,
    Walk,
    beginning,
)

_SIGN: Final = 0xFF  #: Before every marker.
_END: Final = 0xD9
_START_OF_SCAN: Final = 0xDA
_WITHOUT_BODY: Final = frozenset({0x01, *range(0xD0, 0xD8)})
#: Start-of-frame markers, whose segments hold the size. 0xC4, 0xC8 and 0xCC are other markers.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

#: Inside a scan, after 0xFF: an escaped 0xFF, padding, or a restart.
_NO_MARKER: Final = frozenset({0x00, 0xFF, *range(0xD0, 0xD8)})
_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def walk_jpeg() -> Walk:
    """Walk the segments and scans up to the end-of-image marker.

    Bytes after it are ignored: cameras and panorama tools append more pictures there.
    """
    yield Read(2, "its first marker")
    size = None
    scans = 0
    marker = yield from _marker()
    while marker != _END:
        if marker in _WITHOUT_BODY:
            marker = yield from _marker()
            continue
        length = int.from_bytes((yield Read(2, "a segment's length")), "big") - 2
        if length < 0:
            raise Damaged("a segment has no length")
        if marker in _FRAMES:
            head = yield from beginning(5, of=length, what="its frame header")
            size = struct.unpack(">HH", head[1:])
        else:
            yield Pass(length, "a segment")
        if marker == _START_OF_SCAN:
            scans += 1
            scan = _EndOfScan()
            yield Scan(scan, "its pixels")
            marker = scan.marker
        else:
            marker = yield from _marker()
    if size is None or not scans:
        raise Damaged("it holds no picture")
    height, width = size
    return Found("image/jpeg", width, height)


def _marker() -> PartOfWalk[int]:
    sign = yield Read(2, "a marker")
    if sign[0] != _SIGN:
        raise Damaged("what follows a segment is no marker")
    while sign[-1] == _SIGN:  # padding
        sign = yield Read(1, "a marker")
    return sign[-1]


class _EndOfScan:
    """Finds the marker that ends the pixels of a scan."""

    def __init__(self) -> None:
        self.marker = 0
        self._after_ff = False  #: Whether the last piece ended with 0xFF.

    def __call__(self, piece: memoryview) -> int | None:
        if self._after_ff and piece[0] not in _NO_MARKER:
            self.marker = piece[0]
            return 1
        found = _MARKER.search(piece)
        if found is None:
            self._after_ff = piece[-1] == _SIGN
            return None
        self.marker = piece[found.end() - 1]
        return found.end()
