"""Embedded prompts: puts the graph that was handed in where a picture has the one that its node was posted.

ComfyUI (0.3.64, 0.33.0) writes the posted graph into what it saves: a PNG's `tEXt` chunk `prompt` (SaveImage) or
`comf` (SaveAnimatedPNG), an EXIF text `prompt:{...}` of a WEBP or JPEG (SaveAnimatedWEBP, savers of extensions). The
posted one is cut, has other save names in each attempt, and names of input files at the node. So equal pixels would
make no equal files, and who drags one into the editor would not find the own graph in it.

Files are changed as they stream by, before they are checked and hashed. A part whose checksum is wrong, that is none of
these, or that holds another graph than the posted one, stays as it is.
"""

from __future__ import annotations

import json
import logging
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final

from producer.contract.errors import FleetError
from producer.contract.graph.embedded_graphs import exif_places
from producer.contract.graph.graph import Graph

_log = logging.getLogger(__name__)

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_HEAD_BYTES: Final = 12
#: Bytes of a part that is held in memory: a graph of 4 MiB, which is the most that is accepted, and its escapes.
_LONGEST: Final = 16 << 20
_NAME: Final = b"prompt\0"
_EXIF_NAME: Final = b"prompt:"
_APP1: Final = 0xE1
_SCAN: Final = 0xDA


class EmbeddedPrompt:
    """What a node embeds, and what is to stand there instead.

    Args:
        posted: the graph as its node has it.
        handed_in: returns the graph as it was handed in, its params set.
    """

    def __init__(self, posted: Graph, handed_in: Callable[[], Graph]) -> None:
        self._classes = {name: found["class_type"] for name, found in posted.items()}
        self._read = handed_in

    @cached_property
    def text(self) -> bytes:
        """The graph as ComfyUI writes it: JSON in ASCII."""
        return json.dumps(self._handed_in).encode()

    @cached_property
    def shorter(self) -> tuple[bytes, bytes]:
        """The same without blanks; and without the graph nodes that were not posted, either."""
        whole = self._handed_in or {}
        cut = {name: found for name, found in whole.items() if name in self._classes}
        texts = (json.dumps(graph, separators=(",", ":")).encode() for graph in (whole, cut))
        return next(texts), next(texts)

    @cached_property
    def _handed_in(self) -> Graph | None:
        try:
            return self._read()
        except (
            FleetError
        ) as exc:  # its template has left the cache, and Redis is away: no reason to fail
            _log.warning("the graph as it was handed in cannot be embedded: %s", exc)
            return None

    def replaces(self, text: bytes) -> bool:
        """Tell whether a text is the posted graph: ComfyUI may have noted something in its graph nodes."""
        try:
            found: Any = json.loads(text)
        except (ValueError, RecursionError):
            return False
        if not isinstance(found, Mapping) or found.keys() != self._classes.keys():
            return False
        is_posted = all(
            isinstance(one, Mapping) and one.get("class_type") == self._classes[name]
            for name, one in found.items()
        )
        return is_posted and self._handed_in is not None


def with_prompt(chunks: Iterator[bytes], prompt: EmbeddedPrompt) -> Iterator[bytes]:
    """Give a file's bytes with the graph that was handed in; other files as they come."""
    source = _Source(chunks)
    head = source.peek(_HEAD_BYTES)
    if head.startswith(_PNG):
        yield from _png(source, prompt)
    elif head.startswith(_JPEG):
        yield from _jpeg(source, prompt)
    elif head[:4] == b"RIFF" and head[8:] == b"WEBP":
        yield from _webp(source, prompt)
    yield from source.rest()


class _Source:
    """Bytes that come in pieces of any length, to be read in others; none is copied twice."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._piece = b""
        self._at = 0

    def peek(self, length: int) -> bytes:
        """Return the first bytes, which stay to be read; fewer at the end of the file."""
        found = self.read(length)
        self._piece, self._at = found + self._piece[self._at :], 0
        return found

    def read(self, length: int) -> bytes:
        """Return the next bytes; fewer at the end of the file."""
        return b"".join(self.pieces(length))

    def pieces(self, length: int) -> Iterator[bytes]:
        """Give the next bytes as they come, so that none are held."""
        while length > 0 and self._has_more():
            piece = self._piece[self._at : self._at + length]
            self._at += len(piece)
            length -= len(piece)
            yield piece

    def rest(self) -> Iterator[bytes]:
        """Give all that is left."""
        if self._at < len(self._piece):
            yield self._piece[self._at :]
        self._piece, self._at = b"", 0
        yield from self._chunks

    def _has_more(self) -> bool:
        while self._at >= len(self._piece):
            piece = next(self._chunks, None)
            if piece is None:
                return False
            self._piece, self._at = piece, 0
        return True


def _png(source: _Source, prompt: EmbeddedPrompt) -> Iterator[bytes]:
    yield source.read(len(_PNG))
    while len(head := source.read(8)) == 8:  # noqa: PLR2004 - a chunk's head
        length, kind = struct.unpack(">I4s", head)
        if kind not in {b"tEXt", b"comf"} or length > _LONGEST:
            yield head
            yield from source.pieces(length + 4)
            continue
        body = source.read(length + 4)
        new = _png_chunk(kind, body, prompt)
        if new is not None:
            yield new
            return  # one picture has one prompt: the rest need not be looked at
        yield head + body
    yield head


def _png_chunk(kind: bytes, body: bytes, prompt: EmbeddedPrompt) -> bytes | None:
    text, crc = body[:-4], body[-4:]
    is_whole = zlib.crc32(kind + text) == int.from_bytes(crc, "big")
    if not (is_whole and text.startswith(_NAME) and prompt.replaces(text[len(_NAME) :])):
        return None
    new = _NAME + prompt.text
    return b"".join(
        (struct.pack(">I", len(new)), kind, new, struct.pack(">I", zlib.crc32(kind + new)))
    )


def _webp(source: _Source, prompt: EmbeddedPrompt) -> Iterator[bytes]:
    yield source.read(_HEAD_BYTES)
    while len(head := source.read(8)) == 8:  # noqa: PLR2004 - a chunk's head
        kind, length = struct.unpack("<4sI", head)
        yield head
        if kind == b"EXIF" and length <= _LONGEST:
            yield _exif(source.read(length), prompt)
            return
        yield from source.pieces(length + length % 2)
    yield head


def _jpeg(source: _Source, prompt: EmbeddedPrompt) -> Iterator[bytes]:
    yield source.read(2)
    while len(head := source.read(4)) == 4 and head[0] == 0xFF:  # noqa: PLR2004 - a marker and a length
        marker, length = struct.unpack(">xBH", head)
        yield head
        if marker == _SCAN:
            return
        if marker == _APP1:
            yield _exif(source.read(length - 2), prompt)
        else:
            yield from source.pieces(length - 2)
    yield head


def _exif(block: bytes, prompt: EmbeddedPrompt) -> bytes:
    """Return an EXIF block of the same length, as a WEBP's length stands at its front.

    A shorter graph is filled up with blanks; one that is longer even when cut leaves the block as it is.
    """
    for at, length in exif_places(block):
        text = block[at : at + length].rstrip(b"\0")
        name, _, graph = text.partition(b":")
        if name.lower() != b"prompt" or not prompt.replaces(graph):
            continue
        for shorter in prompt.shorter:
            new = text[: len(_EXIF_NAME)] + shorter
            if len(new) <= len(text):
                filled = new.ljust(len(text)) + b"\0" * (length - len(text))
                return block[:at] + filled + block[at + length :]
    return block
