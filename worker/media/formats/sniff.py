"""Sniffs a file's format: recognises it by its first bytes, whatever its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from worker.media.formats import flac, gltf, matroska, mp3, ogg, png, safetensors
from worker.media.formats.gif import walk_gif
from worker.media.formats.isobmff import walk_isobmff
from worker.media.formats.jpeg import walk_jpeg
from worker.media.formats.riff import walk_avi, walk_wav, walk_webp
from worker.media.formats.walker import Walk

#: First bytes needed to recognise every known format.
HEAD_BYTES: Final = 16

_RIFF: Final = b"RIFF"

_BY_START: Final[tuple[tuple[bytes, Callable[[], Walk]], ...]] = (
    (png.SIGNATURE, png.walk_png),
    (b"\xff\xd8\xff", walk_jpeg),
    (b"GIF87a", walk_gif),
    (b"GIF89a", walk_gif),
    (matroska.SIGNATURE, matroska.walk_matroska),
    (ogg.SIGNATURE, ogg.walk_ogg),
    (flac.SIGNATURE, flac.walk_flac),
    (gltf.SIGNATURE, gltf.walk_glb),
    (mp3.TAG, mp3.walk_mp3),
)
#: Form types, at byte 8 of a RIFF file.
_BY_FORM: Final = {b"WEBP": walk_webp, b"WAVE": walk_wav, b"AVI ": walk_avi}

#: At byte 4: boxes with which a file of the MP4 family may begin; old MOVs lack the first.
_FIRST_BOXES: Final = {b"ftyp", b"moov", b"wide"}

_PAGE_SIGNS: Final = (b"<", b"{", b"[")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def find_walk(head: bytes) -> Walk | None:
    """Return a walk for the format that begins with *head*, or None if it is not known.

    Args:
        head: the first 16 bytes of the file, fewer if it is shorter.
    """
    for start, walk in _BY_START:
        if head.startswith(start):
            return walk()
    if head.startswith(_RIFF) and head[8:12] in _BY_FORM:
        return _BY_FORM[head[8:12]]()
    if head[4:8] in _FIRST_BOXES:
        return walk_isobmff()
    if safetensors.is_safetensors(head):
        return safetensors.walk_safetensors()
    return mp3.walk_mp3() if mp3.is_frame(head) else None


def is_page(start: bytes) -> bool:
    """Tell whether bytes of no known format look like an HTML, XML or JSON error instead of a file."""
    return _text(start).startswith(_PAGE_SIGNS)


def describe(start: bytes) -> str:
    """Return what bytes of no known format look like, for a message."""
    if is_page(start):
        return "an HTML or XML page" if _text(start).startswith(b"<") else "JSON"
    if not any(start):
        return "zeros"
    return "no format we know"


def _text(start: bytes) -> bytes:
    return start.lstrip(_BYTE_ORDER_MARK + b" \t\r\n")
