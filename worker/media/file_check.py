"""File check of a node's output while it is downloaded: complete or not, format, size, SHA-256.

A cut connection, a full disk at the node or a proxy's error page may all come with status 200; none
of them may be stored as an artifact. Memory does not grow with the file.

A truncated file is always found, except live streams (WebM, WAV), which may end anywhere, and
fragmented films that end between two fragments. Changed bytes are found where the format has
checksums (PNG, Ogg) or lengths; elsewhere only TCP's checksum protects the download.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from worker.foreign_data import UNREADABLE
from worker.media import media_types
from worker.media.formats import sniff
from worker.media.formats.walker import Damaged, Walker

__all__ = ["Damaged", "FileCheck", "FileFacts"]

#: Families of formats by the first half of the media type: a name and its bytes must be of the same.
_FAMILIES: Final = {
    "image": "a picture",
    "audio": "a film or sound",
    "video": "a film or sound",
    "model": "a model",
    "application": "tensors",
}


@dataclass(frozen=True)
class FileFacts:
    """The facts of a complete file. Width and height in pixels; None if it is no picture or film."""

    media_type: str
    width: int | None
    height: int | None
    bytes: int
    sha256: str


class FileCheck:
    """Checks one file, fed in chunks of any length.

    Args:
        name: the node's file name; the bytes must be of the family that its suffix stands for.
        declared_type: the node's `Content-Type`; used only if neither bytes nor name tell the type.
    """

    def __init__(self, name: str, declared_type: str | None = None) -> None:
        self._name = name
        self._declared_type = declared_type
        self._sha256 = hashlib.sha256()
        self._bytes = 0
        self._head = b""
        self._has_started = False
        self._walker: Walker | None = None

    def feed(self, chunk: bytes) -> None:
        """Check the next chunk.

        Raises:
            Damaged: the file is damaged, whatever bytes follow.
        """
        self._sha256.update(chunk)
        self._bytes += len(chunk)
        with self._naming_the_file():
            if self._has_started:
                self._walk(chunk)
            else:
                self._head += chunk
                if len(self._head) >= sniff.HEAD_BYTES:
                    self._start()

    def finish(self) -> FileFacts:
        """Check that the file may end here, and return its facts.

        Raises:
            Damaged: it is empty, truncated, or of another family than its name's suffix.
        """
        with self._naming_the_file():
            if not self._bytes:
                raise Damaged("it is empty")
            if not self._has_started:
                self._start()
            return self._facts()

    def _start(self) -> None:
        """Recognise the format, and walk the bytes received so far."""
        self._has_started = True
        start, self._head = self._head, b""
        if media_types.is_text(self._name):
            return
        walk = sniff.find_walk(start[: sniff.HEAD_BYTES])
        if walk is not None:
            self._walker = Walker(walk)
            self._walk(start)
        elif self._promises_other_than(start):
            raise Damaged(f"it begins like {sniff.describe(start)}")

    def _walk(self, chunk: bytes) -> None:
        if self._walker is not None:
            self._walker.feed(chunk)

    def _promises_other_than(self, start: bytes) -> bool:
        if media_types.promised_by(self._name) is not None:
            return True
        guessed = media_types.guess(self._name, declared=self._declared_type)
        return guessed.startswith(("image/", "audio/")) and sniff.is_page(start)

    def _facts(self) -> FileFacts:
        if self._walker is None:
            media_type = media_types.guess(self._name, declared=self._declared_type)
            return FileFacts(media_type, None, None, self._bytes, self._sha256.hexdigest())
        found = self._walker.finish()
        promised = media_types.promised_by(self._name)
        if promised is not None and _family(promised) != _family(found.media_type):
            raise Damaged(f"it is {_family(found.media_type)}, not {_family(promised)}")
        return FileFacts(*found, self._bytes, self._sha256.hexdigest())

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except Damaged as exc:
            raise Damaged(f"{self._name} is damaged: {exc}") from exc
        except UNREADABLE as exc:  # a number, depth or size out of Python's range
            why = f"it makes no sense ({type(exc).__name__}: {exc})"
            raise Damaged(f"{self._name} is damaged: {why:.300}") from exc


def _family(media_type: str) -> str:
    return _FAMILIES[media_type.partition("/")[0]]
