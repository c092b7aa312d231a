"""Redis' protocol, cut into commands and replies (RESP2 and RESP3, as redis-py and kombu speak it)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from tests.chaos.proxy.pieces import Piece, Speech

#: Gives a command's name from its arguments, the command word first.
Namer = Callable[[list[bytes]], str]

_LINE_TYPES: Final = b"+-:_,#("
_TEXT_TYPES: Final = b"$=!"
_LIST_TYPES: Final = b"*~>"
_NIL: Final = (b"$-1\r\n", b"*-1\r\n", b"_\r\n")
_PUSH: Final = b">"
_BLOCKING_POP: Final = "BRPOP"


def redis_speech(name_of: Namer) -> Speech:
    """Return the rules for one connection to Redis."""
    commands = _Commands(name_of)
    return Speech(commands.split, _Replies(commands.waiting).split)


class _Commands:
    def __init__(self, name_of: Namer) -> None:
        self._name_of = name_of
        self._buffer = bytearray()
        self.waiting: deque[str] = deque()

    def split(self, data: bytes) -> list[Piece]:
        self._buffer += data
        pieces = []
        while (found := _command(self._buffer)) is not None:
            end, words = found
            name = self._name_of(words)
            self.waiting.append(name)
            pieces.append(Piece(bytes(self._buffer[:end]), opens=name))
            del self._buffer[:end]
        return pieces


class _Replies:
    """Replies in the order of the commands; a subscription's messages answer none."""

    def __init__(self, waiting: deque[str]) -> None:
        self._waiting = waiting
        self._buffer = bytearray()

    def split(self, data: bytes) -> list[Piece]:
        self._buffer += data
        pieces = []
        while (end := _end_of_value(self._buffer, 0)) is not None:
            pieces.append(self._piece(bytes(self._buffer[:end])))
            del self._buffer[:end]
        return pieces

    def _piece(self, raw: bytes) -> Piece:
        if raw.startswith(_PUSH) or not self._waiting:
            return Piece(raw)
        name = self._waiting.popleft()
        # A pop that brings a message is another moment than one that comes back empty.
        is_message = name.startswith(_BLOCKING_POP) and raw not in _NIL and raw[:1] != b"-"
        return Piece(raw, opens=f"{name} message" if is_message else None, answers=True)


def _command(buffer: bytearray) -> tuple[int, list[bytes]] | None:
    """Return where the first command ends, and its words; None while it is incomplete."""
    line_end = buffer.find(b"\r\n")
    if line_end < 0:
        return None
    if buffer[:1] != b"*":  # an inline command, as a person types it
        return line_end + 2, bytes(buffer[:line_end]).split() or [b""]
    position, words = line_end + 2, []
    for _ in range(int(buffer[1:line_end])):
        line_end = buffer.find(b"\r\n", position)
        if line_end < 0:
            return None
        start = line_end + 2
        end = start + int(buffer[position + 1 : line_end])
        if len(buffer) < end + 2:
            return None
        words.append(bytes(buffer[start:end]))
        position = end + 2
    return position, words


def _end_of_value(buffer: bytearray, start: int) -> int | None:
    """Return where the value at *start* ends; None while it is incomplete."""
    line_end = buffer.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind, after = buffer[start], line_end + 2
    if kind in _LINE_TYPES:
        return after
    size = int(buffer[start + 1 : line_end])
    if kind in _TEXT_TYPES:
        end = after if size < 0 else after + size + 2
        return end if len(buffer) >= end else None
    if kind in _LIST_TYPES:
        return _end_of_values(buffer, after, size)
    if kind == ord("%"):
        return _end_of_values(buffer, after, 2 * size)
    if kind == ord("|"):  # attributes, then the value they are about
        return _end_of_values(buffer, after, 2 * size + 1)
    raise ValueError(f"no Redis value begins with {chr(kind)!r}")


def _end_of_values(buffer: bytearray, start: int, count: int) -> int | None:
    position: int | None = start
    for _ in range(count):
        position = _end_of_value(buffer, position)
        if position is None:
            return None
    return position
