"""Embedded graphs: read from the metadata of a PNG, WEBP or JPEG that ComfyUI saved.

As in ComfyUI 0.3.64 and 0.33.0: `SaveImage` writes text chunks `prompt` (the graph) and `workflow`
(what the editor saves); `SaveAnimatedPNG` the same in chunks `comf`; `SaveAnimatedWEBP` and most
savers of extensions write EXIF texts that begin with `prompt:` and `workflow:`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Final

from producer.contract.errors import InvalidGraph
from producer.contract.graph.json_values import printable

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_EXIF: Final = b"Exif\x00\x00"
_MEDIA: Final = {
    b"GIF8": "a GIF",
    b"\x1aE\xdf\xa3": "a WebM or Matroska film",
    b"fLaC": "a FLAC file",
    b"OggS": "an Ogg file",
    b"ID3": "an MP3",
    b"RIFF": "a RIFF file",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
}
_KINDS: Final = ("prompt", "workflow")
#: The EXIF type ASCII. ComfyUI uses several tags of it; each text begins with its name and a colon.
_ASCII: Final = 2
_MOST_TAGS: Final = 1_000
#: EXIF blocks read of one picture; a camera writes one.
_MOST_BLOCKS: Final = 20
_ANOTHER: Final = "submit the graph's own file: in ComfyUI choose Workflow → Export (API)"


def is_picture(data: bytes) -> bool:
    """Tell whether *data* begins as a PNG, JPEG or WEBP, which may hold a graph."""
    return data.startswith((_PNG, _JPEG)) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def media_kind(data: bytes) -> str | None:
    """Name the kind of a media file or archive in which no graph is looked for; None if it is none."""
    if data[4:8] == b"ftyp":
        return "a film or picture of the MP4 family"
    return next((kind for magic, kind in _MEDIA.items() if data.startswith(magic)), None)


def embedded_graph(data: bytes, *, max_bytes: int) -> dict[str, str]:
    """Return a picture's JSON texts `prompt` (the graph) and, if present, `workflow`.

    Args:
        max_bytes: the limit of one text, decompressed.

    Raises:
        InvalidGraph: the picture has no graph, or only a workflow; or a text is damaged or too long.
    """
    found: dict[str, str] = {}
    others: dict[str, None] = {}
    for name, text in _texts(data, max_bytes):
        if name in _KINDS:
            found.setdefault(name, text)
        else:
            others[name] = None
    if "prompt" not in found:
        raise _no_graph(found, list(others))
    return found


def _no_graph(found: dict[str, str], others: list[str]) -> InvalidGraph:
    if "workflow" in found:
        message = (
            "the picture holds only the workflow as the editor saves it, no graph in API format"
        )
        advice = "open it in ComfyUI and choose Workflow → Export (API)"
        return InvalidGraph(message, field="graph", advice=advice)
    named = ", ".join(printable(name, most=20) for name in others[:5])
    beside = f"; it holds {named}" if others else ""
    return InvalidGraph(
        "the picture holds no graph: ComfyUI saved it without metadata, or another program saved "
        f"it again{beside}",
        field="graph",
        advice=_ANOTHER,
    )


def _texts(data: bytes, max_bytes: int) -> Iterator[tuple[str, str]]:
    if data.startswith(_PNG):
        return _png_texts(data, max_bytes)
    blocks = _jpeg_exif(data) if data.startswith(_JPEG) else _webp_exif(data)
    some = islice(blocks, _MOST_BLOCKS)
    return (pair for block in some for pair in _exif_texts(block, max_bytes))


def _png_texts(data: bytes, max_bytes: int) -> Iterator[tuple[str, str]]:
    """Yield (name, text); texts of other names, or already found, are not decompressed: "" is yielded."""
    at, wanted = len(_PNG), set(_KINDS)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        is_whole = at + 8 + length <= len(data)
        body = data[at + 8 : at + 8 + length] if is_whole and kind in _READERS else b""
        if body and (reader := _READERS.get(kind)):
            packed_name, zero, rest = body.partition(b"\0")
            name = packed_name.decode("latin-1")
            text = (reader(rest, max_bytes) if name in wanted else "") if zero else None
            if text is not None:
                wanted.discard(name)
                yield name, text
        at += 12 + length


def _plain(rest: bytes, max_bytes: int) -> str:
    # ComfyUI's own JSON is ASCII; other writers put UTF-8 where the standard wants Latin-1.
    _check_size(len(rest), max_bytes)
    try:
        return rest.decode("utf-8")
    except UnicodeDecodeError:
        return rest.decode("latin-1")


def _packed(rest: bytes, max_bytes: int) -> str:
    return _plain(_unpacked(rest[1:], max_bytes), max_bytes)


def _international(rest: bytes, max_bytes: int) -> str | None:
    # Two flags, then language and translated name, each zero-terminated, then the text.
    parts = rest[2:].split(b"\0", 2)
    if len(parts) < 3:  # noqa: PLR2004 - as said
        return None
    return _plain(_unpacked(parts[2], max_bytes) if rest[:1] == b"\x01" else parts[2], max_bytes)


def _unpacked(data: bytes, max_bytes: int) -> bytes:
    """Decompress at most *max_bytes*: a megabyte can hold a gigabyte of zeros."""
    try:
        text = zlib.decompressobj().decompress(data, max_bytes + 1)
    except zlib.error as exc:
        raise InvalidGraph(
            f"a text of the picture is damaged: {exc}", field="graph", advice=_ANOTHER
        ) from exc
    _check_size(len(text), max_bytes)
    return text


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise InvalidGraph(
            f"a text of the picture has more than {max_bytes:,} bytes",
            field="graph",
            advice=_ANOTHER,
        )


_READERS: Final = {
    b"tEXt": _plain,
    b"comf": _plain,
    b"zTXt": _packed,
    b"iTXt": _international,
}


def _webp_exif(data: bytes) -> Iterator[bytes]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            yield data[at + 8 : at + 8 + length].removeprefix(_EXIF)
        at += 8 + length + length % 2


def _jpeg_exif(data: bytes) -> Iterator[bytes]:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004 - begins every marker
        marker, length = struct.unpack_from(">xBH", data, at)
        body = data[at + 4 : at + 2 + length]
        if marker == 0xE1 and body.startswith(_EXIF):  # noqa: PLR2004 - APP1
            yield body.removeprefix(_EXIF)
        if marker == 0xDA:  # noqa: PLR2004 - the pixels begin
            return
        at += 2 + length


def _exif_texts(block: bytes, max_bytes: int) -> Iterator[tuple[str, str]]:
    for at, length in exif_places(block):
        text = _plain(block[at : at + length].rstrip(b"\0"), max_bytes)
        name, colon, rest = text.partition(":")
        if colon:
            yield name.strip().lower(), rest


def exif_places(block: bytes) -> Iterator[tuple[int, int]]:
    """Yield where in an EXIF block its texts are: offset and length, the zero at its end included.

    Texts that would take more bytes together than the block has lie over each other, and are not looked at: a
    block of a few megabytes could hold gigabytes of them.
    """
    base = len(_EXIF) if block.startswith(_EXIF) else 0
    order = {b"II": "<", b"MM": ">"}.get(block[base : base + 2])
    if order is None or len(block) < base + 8:
        return
    (at,) = struct.unpack_from(f"{order}I", block, base + 4)
    at += base
    if at + 2 > len(block):
        return
    (count,) = struct.unpack_from(f"{order}H", block, at)
    left = len(block)
    for number in range(min(count, _MOST_TAGS)):
        entry = at + 2 + 12 * number
        if entry + 12 > len(block):
            return
        _, kind, length, where = struct.unpack_from(f"{order}HHII", block, entry)
        if kind == _ASCII and length > 4:  # noqa: PLR2004 - shorter ones lie in the entry itself
            left -= length
            if left < 0:
                return
            yield base + where, length
