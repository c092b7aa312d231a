"""ISO base media file format (ISOBMFF, ISO 14496-12): MP4, MOV, M4A, AVIF and HEIC; its boxes."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from worker.media.formats.walker import Damaged, Found, PartOfWalk, Pass, Read, Walk, beginning

_FILE: Final = b""  #: Stands for the file where a box's kind is expected.

#: Special values of a box's length: to the end of the file; in the next 8 bytes.
_TO_THE_END: Final = 0
_LONG: Final = 1

#: Kinds are printable Latin-1: QuickTime has some that begin with a copyright sign.
_BLANK: Final = 0x20
_DELETE: Final = 0x7F

#: Boxes whose children are walked: (parent, kind) → bytes before the first child.
_LOOKED_INTO: Final[Mapping[tuple[bytes, bytes], int]] = {
    (_FILE, b"moov"): 0,
    (b"moov", b"trak"): 0,
    (_FILE, b"meta"): 4,
    (b"meta", b"iprp"): 0,
    (b"iprp", b"ipco"): 0,
}

#: The first of these brands in the file decides its type; without any it is a film.
_TYPES: Final = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
_FILM: Final = "video/mp4"

#: Boxes that end with a width and a height → bits of their fraction.
_SIZED: Final = {b"tkhd": 16, b"ispe": 0}

#: The boxes with the index, and the one with the media data.
_NEEDED: Final = frozenset({b"moov", b"meta", b"mdat"})

_HEAD_BYTES: Final = 8
_SIZE_BYTES: Final = 8
_MOST_BRAND_BYTES: Final = 1024


def walk_isobmff() -> Walk:
    """Walk the boxes: they must cover the file, with an index and media data among them."""
    seen = _Seen()
    yield from _boxes(None, inside=_FILE, seen=seen)
    media_type = next((_TYPES[brand] for brand in seen.brands if brand in _TYPES), _FILM)
    index = b"meta" if media_type.startswith("image/") else b"moov"
    for kind in (index, b"mdat"):
        if kind not in seen.kinds:
            raise Damaged(f"its box {kind.decode()} is missing")
    return Found(media_type, *(seen.largest or (None, None)))


@dataclass
class _Seen:
    """What was read from the boxes so far."""

    kinds: set[bytes] = field(default_factory=set)  #: Of `_NEEDED`, at the top level.
    brands: dict[bytes, None] = field(default_factory=dict)  #: In their order.
    largest: tuple[int, int] | None = None  #: Width and height, of pictures, tiles and tracks.


class _Box(NamedTuple):
    kind: bytes
    head_bytes: int
    body_bytes: int | None  #: None: up to the end of the file.

    @property
    def what(self) -> str:
        return f"its box {self.kind.decode('latin-1')}"


def _boxes(left: int | None, *, inside: bytes, seen: _Seen) -> PartOfWalk[None]:
    """Walk the boxes in the next *left* bytes; None: in the whole file."""
    while left is None or left >= _HEAD_BYTES:
        box = yield from _box_head(at_top=left is None)
        if box is None:
            return
        if left is not None:
            if box.body_bytes is None or box.head_bytes + box.body_bytes > left:
                raise Damaged(f"{box.what} is longer than the one around it")
            left -= box.head_bytes + box.body_bytes
        if inside == _FILE and box.kind in _NEEDED:
            seen.kinds.add(box.kind)
        yield from _body(box, inside=inside, seen=seen)
    yield Pass(left, "a box")


def _box_head(*, at_top: bool) -> PartOfWalk[_Box | None]:
    head = yield Read(_HEAD_BYTES, "a box's head", or_end=at_top)
    if not head:
        return None
    length, kind = struct.unpack(">I4s", head)
    if not all(_BLANK <= sign != _DELETE for sign in kind):
        raise Damaged("what follows a box is no box")
    if length == _TO_THE_END:
        return _Box(kind, _HEAD_BYTES, None)
    head_bytes = _HEAD_BYTES
    if length == _LONG:
        length = int.from_bytes((yield Read(8, "a box's head")), "big")
        head_bytes += 8
    if length < head_bytes:
        raise Damaged("a box is shorter than its head")
    return _Box(kind, head_bytes, length - head_bytes)


def _body(box: _Box, *, inside: bytes, seen: _Seen) -> PartOfWalk[None]:
    body_bytes = box.body_bytes
    if body_bytes is None:
        yield Pass(None, box.what)
    elif (inside, box.kind) in _LOOKED_INTO:
        skipped = _LOOKED_INTO[inside, box.kind]
        if body_bytes < skipped:
            raise Damaged(f"{box.what} is too short")
        yield Pass(skipped, box.what)
        yield from _boxes(body_bytes - skipped, inside=box.kind, seen=seen)
    elif box.kind == b"ftyp":
        brands = yield from beginning(
            min(body_bytes, _MOST_BRAND_BYTES), of=body_bytes, what=box.what
        )
        found = (brands[at : at + 4] for at in range(0, len(brands), 4))
        seen.brands |= dict.fromkeys(brand for brand in found if brand in _TYPES)
    elif box.kind in _SIZED and body_bytes >= _SIZE_BYTES:
        yield Pass(body_bytes - _SIZE_BYTES, box.what)
        width, height = struct.unpack(">II", (yield Read(_SIZE_BYTES, box.what)))
        shift = _SIZED[box.kind]
        if width and height:  # a track of sound has none
            size = (width >> shift, height >> shift)
            seen.largest = max(seen.largest or size, size)
    else:
        yield Pass(body_bytes, box.what)
