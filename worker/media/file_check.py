"""Checks a file that a node made while it streams by: is it whole, what is it, how large.

A cut connection, a node out of disk or a proxy's error page may all come with status 200; none of
them may be stored as an artifact. Memory does not grow with the file.

A file that is cut off is always found, but for live streams (WebM, WAV), which may end anywhere,
and films in fragments that end between two of them. Changed bytes are found where the format has
checksums (PNG, Ogg) or lengths; elsewhere TCP and the hash from here on have to do.
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

#: What a name and the bytes have to agree on, by the first half of the media type.
_FAMILIES: Final = {
    "image": "a picture",
    "audio": "a film or sound",
    "video": "a film or sound",
    "model": "a model",
    "application": "tensors",
}


@dataclass(frozen=True)
class FileFacts:
    """What a whole file is. Width and height in pixels, where there are any."""

    media_type: str
    width: int | None
    height: int | None
    bytes: int
    sha256: str


class FileCheck:
    """One file, fed as it comes.

    Args:
        name: as the node calls it; the bytes must keep what its ending promises.
        declared_type: what the node says it is; asked only when neither bytes nor name tell.
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
        """Take the next bytes, however many.

        Raises:
            Damaged: the file cannot be whole, whatever else comes.
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
        """Say that no more comes; return what the file is.

        Raises:
            Damaged: it is empty, cut off, or not what its name promises.
        """
        with self._naming_the_file():
            if not self._bytes:
                raise Damaged("it is empty")
            if not self._has_started:
                self._start()
            return self._facts()

    def _start(self) -> None:
        """Tell the format and hand it what has come so far."""
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
        except UNREADABLE as exc:  # a number, a depth or a size that no such file has
            why = f"it makes no sense ({type(exc).__name__}: {exc})"
            raise Damaged(f"{self._name} is damaged: {why:.300}") from exc


def _family(media_type: str) -> str:
    return _FAMILIES[media_type.partition("/")[0]]
