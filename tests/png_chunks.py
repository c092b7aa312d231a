"""Chunks of PNG files, which tests look at."""

from __future__ import annotations

import struct
import zlib


def png_chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """Return type and content of each chunk of a PNG, whose checksums must be right."""
    found, at = [], 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        content, crc = png[at + 8 : at + 8 + length], png[at + 8 + length : at + 12 + length]
        assert int.from_bytes(crc, "big") == zlib.crc32(kind + content), kind
        found.append((kind, content))
        at += 12 + length
    return found
