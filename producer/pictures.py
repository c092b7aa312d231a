"""Whether a file may be what a graph node wants to load, told from its first bytes."""

from __future__ import annotations

from typing import Final

#: Bytes that `looks_like_picture` needs.
HEAD_BYTES: Final = 32

_MAGIC: Final = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\x00",
    b"MM\x00*",
    b"qoif",
    b"\x00\x00\x00\x0cJXL ",
    b"v/1\x01",  # OpenEXR
)


def looks_like_picture(head: bytes) -> bool:
    """Tell whether *head* begins a file of a kind that Pillow, and so LoadImage, can open."""
    riff = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    heif = head[4:8] == b"ftyp" and head[8:12] in {b"avif", b"heic", b"mif1", b"avis"}
    return riff or heif or head.startswith(_MAGIC)
