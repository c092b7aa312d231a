"""Ogg (RFC 3533): Vorbis, Opus, FLAC or Theora in pages, each with a checksum."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from worker.media.formats.walker import Damaged, Found, Read, Walk

SIGNATURE: Final = b"OggS"

_HEAD: Final = struct.Struct("<4sBBqIIIB")
_CHECKSUM: Final = slice(22, 26)
_MOST_STREAMS: Final = 1000  #: At once; a film has two.
_BEGINS: Final = 2
_ENDS: Final = 4
_THEORA: Final = b"\x80theora"

#: Translation table: each byte with its bits reversed.
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def walk_ogg() -> Walk:
    """Walk the pages: check each one's checksum and number, and that each stream has its last page."""
    next_page: dict[int, int] = {}  #: Stream → number of its next page, until it ends.
    media_type = "audio/ogg"
    while head := (yield Read(_HEAD.size, "a page's head", or_end=True)):
        sign, _, flags, _, stream, number, checksum, segments = _HEAD.unpack(head)
        if sign != SIGNATURE:
            raise Damaged("what follows a page is no page")
        lengths = yield Read(segments, "a page's head")
        body = yield Read(sum(lengths), "a page")
        if _checksum(head, lengths, body) != checksum:
            raise Damaged(f"its page {number} does not match its checksum")
        if flags & _BEGINS:
            if len(next_page) == _MOST_STREAMS:
                raise Damaged(f"more than {_MOST_STREAMS} streams go on at once")
            next_page[stream] = number
            if body.startswith(_THEORA):
                media_type = "video/ogg"
        if next_page.get(stream) != number:
            raise Damaged(f"its page {number} is not the one that is due")
        next_page[stream] = number + 1
        if flags & _ENDS:
            del next_page[stream]
    if next_page:
        raise Damaged("it ends before its last page")
    return Found(media_type)


def _checksum(head: bytes, lengths: bytes, body: bytes) -> int:
    """Return Ogg's CRC-32, which has the reverse bit order of zlib's.

    It is zlib's CRC of the bytes with reversed bits, itself reversed, which is as fast; zlib's
    complement at beginning and end is undone.
    """
    crc = 0xFFFFFFFF
    zeroed = head[: _CHECKSUM.start] + bytes(4) + head[_CHECKSUM.stop :]
    for part in (zeroed, lengths, body):
        crc = zlib.crc32(part.translate(_REVERSED), crc)
    return int(f"{crc ^ 0xFFFFFFFF:032b}"[::-1], 2)
