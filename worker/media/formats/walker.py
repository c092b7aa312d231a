"""Walker: drives the check of one format over streamed chunks; memory does not grow with the file.

A format's check is a generator, a *walk*: it yields a step for the next bytes (`Read`, `Pass` or
`Scan`), and returns what it found. So it reads like the format's own specification, while `Walker`
splits and joins the chunks that the network delivers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final, NamedTuple, TypeVar

#: Parts of a file (boxes, chunks, pages, frames) that it may have whatever its length.
_PARTS: Final = 100_000
#: Further parts must have so many bytes each, on average. Frames of MP3 at 32 kbit/s have; a film of
#: empty boxes would take a second of CPU time for each megabyte.
_BYTES_A_PART: Final = 32


class Damaged(ValueError):
    """The file is incomplete, damaged, or of another format than its name says; the message says why."""


class Found(NamedTuple):
    """The result of a walk. Width and height in pixels; None if it is no picture or film."""

    media_type: str
    width: int | None = None
    height: int | None = None


class Read(NamedTuple):
    """Step: the walk is sent the next *length* bytes. Keep it small: they are buffered."""

    length: int
    what: str  #: For messages: `it ends inside {what}`.
    or_end: bool = False  #: The file may end here; the walk is then sent b"".


class Pass(NamedTuple):
    """Step: skip the next *length* bytes; None: all to the end of the file."""

    length: int | None
    what: str
    into: Callable[[memoryview], object] | None = None  #: Called with each piece of them.


class Scan(NamedTuple):
    """Step: skip bytes until *ends*, called with each piece, returns the offset of their end in it."""

    ends: Callable[[memoryview], int | None]
    what: str


Step = Read | Pass | Scan
Walk = Generator[Step, bytes, Found]

_Result = TypeVar("_Result")
PartOfWalk = Generator[Step, bytes, _Result]


def end_of_file(after: str) -> PartOfWalk[None]:
    """Raise Damaged if more bytes follow."""
    if (yield Read(1, "what follows", or_end=True)):
        raise Damaged(f"it goes on after {after}")


def beginning(length: int, *, of: int, what: str) -> PartOfWalk[bytes]:
    """Return the first *length* of the next *of* bytes, and skip the others."""
    if of < length:
        raise Damaged(f"{what} is too short")
    start = yield Read(length, what)
    yield Pass(of - length, what)
    return start


class Walker:
    """Drives one walk with chunks of any length."""

    def __init__(self, walk: Walk) -> None:
        self.found: Found | None = None  #: Set when the walk has ended; what follows is ignored.
        self._walk = walk
        self._seen = 0
        self._held = bytearray()  #: The first bytes of a `Read`.
        self._passed = 0  #: Bytes of a `Pass`.
        self._parts = 0
        self._step: Step = next(walk)

    def feed(self, chunk: bytes) -> None:
        """Walk the next bytes of the file.

        Raises:
            Damaged: they are not valid in the format.
        """
        self._seen += len(chunk)
        at = 0
        while at < len(chunk) and self.found is None:
            step = self._step
            if isinstance(step, Read):
                at = self._read(step, chunk, at)
            elif isinstance(step, Pass):
                at = self._pass(step, chunk, at)
            else:
                at = self._scan(step, chunk, at)

    def finish(self) -> Found:
        """End the walk at the end of the file, and return its result.

        Raises:
            Damaged: the file is truncated.
        """
        while self.found is None:
            if self._held or not _may_end(self._step):
                raise Damaged(f"it ends after {self._seen} bytes, inside {self._step.what}")
            self._answer(b"")
        return self.found

    def _read(self, step: Read, chunk: bytes, at: int) -> int:
        end = at + step.length - len(self._held)
        if end > len(chunk):
            self._held += chunk[at:]
            return len(chunk)
        data = chunk[at:end]
        if self._held:
            data = bytes(self._held) + data
            self._held.clear()
        self._answer(data)
        return end

    def _pass(self, step: Pass, chunk: bytes, at: int) -> int:
        left = len(chunk) if step.length is None else step.length - self._passed
        end = min(at + left, len(chunk))
        if step.into is not None:
            step.into(memoryview(chunk)[at:end])
        self._passed += end - at
        if self._passed == step.length:
            self._passed = 0
            self._answer(b"")
        return end

    def _scan(self, step: Scan, chunk: bytes, at: int) -> int:
        used = step.ends(memoryview(chunk)[at:])
        if used is None:
            return len(chunk)
        self._answer(b"")
        return at + used

    def _answer(self, data: bytes) -> None:
        try:
            step = self._walk.send(data)
            self._parts += 1
            while not isinstance(step, Scan) and step.length == 0:
                step = self._walk.send(b"")
                self._parts += 1
        except StopIteration as ended:
            self.found = ended.value
        else:
            self._step = step
            if self._parts > _PARTS + self._seen // _BYTES_A_PART:
                raise Damaged(f"it has {self._parts:,} parts in its first {self._seen:,} bytes")


def _may_end(step: Step) -> bool:
    if isinstance(step, Pass):
        return step.length is None
    return isinstance(step, Read) and step.or_end
