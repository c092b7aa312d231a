"""FLAC (RFC 9639): its metadata blocks, then its frames."""

from __future__ import annotations

from typing import Final

from worker.media.formats.flac_frames import Frames
from worker.media.formats.walker import Found, Pass, Read, Walk, beginning

SIGNATURE: Final = b"fLaC"

_STREAM_INFO: Final = 0
_STREAM_INFO_BYTES: Final = 34
_LAST_BLOCK: Final = 0x80


def walk_flac() -> Walk:
    """Walk metadata blocks and frames; check frame numbers, sample count and the last frame's CRC."""
    yield Read(len(SIGNATURE), "its signature")
    samples = 0
    flags = 0
    while not flags & _LAST_BLOCK:
        head = yield Read(4, "a metadata block")
        flags, length = head[0], int.from_bytes(head[1:], "big")
        if flags & 0x7F == _STREAM_INFO:
            info = yield from beginning(_STREAM_INFO_BYTES, of=length, what="its first block")
            samples = int.from_bytes(info[13:18], "big") & 0xF_FFFF_FFFF
        else:
            yield Pass(length, "a metadata block")
    frames = Frames()
    yield Pass(None, "its frames", frames.feed)
    frames.finish(samples=samples)
    return Found("audio/flac")
