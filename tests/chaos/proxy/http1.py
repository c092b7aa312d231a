"""HTTP/1.1, cut into heads and stretches of bodies, and a websocket's messages after an upgrade."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Final

from tests.chaos.proxy.frames import ServerFrames
from tests.chaos.proxy.pieces import Piece, Speech

#: Gives a request's name from its method and target.
Namer = Callable[[str, str], str]

_HEAD_END: Final = b"\r\n\r\n"
_NO_BODY: Final = (204, 304)
_SWITCHING: Final = 101
_FIRST_FINAL: Final = 200


def http_speech(name_of: Namer) -> Speech:
    """Return the rules for one connection of HTTP/1.1, kept alive or not."""
    asked: deque[str] = deque()
    return Speech(_Requests(name_of, asked).split, _Responses(asked).split)


class _Messages(ABC):
    """One direction: heads and bodies in turn."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._take: Callable[[], Piece | None] = self._take_head
        self._left = 0

    def split(self, data: bytes) -> list[Piece]:
        self._buffer += data
        pieces = []
        while self._buffer and (piece := self._take()) is not None:
            pieces.append(piece)
        return pieces

    def _take_head(self) -> Piece | None:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return None
        raw = self._cut(end + len(_HEAD_END))
        first, *lines = raw[:end].decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        return self._head(raw, first, headers)

    @abstractmethod
    def _head(self, raw: bytes, first: str, headers: dict[str, str]) -> Piece:
        """Return a head's piece, and expect the body that it announces."""

    def _expect_body(self, headers: dict[str, str], *, else_to_the_end: bool) -> None:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            self._take = self._take_chunk_size
        elif "content-length" in headers:
            self._left = int(headers["content-length"])
            self._take = self._take_counted if self._left else self._take_head
        else:
            self._take = self._take_rest if else_to_the_end else self._take_head

    def _take_counted(self) -> Piece:
        raw = self._cut(min(self._left, len(self._buffer)))
        self._left -= len(raw)
        if not self._left:
            self._take = self._take_head
        return Piece(raw)

    def _take_chunk_size(self) -> Piece | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return None
        size = int(bytes(self._buffer[:end]).partition(b";")[0], 16)
        self._left = size + len(b"\r\n")
        self._take = self._take_chunk if size else self._take_trailer
        return Piece(self._cut(end + 2))

    def _take_chunk(self) -> Piece:
        raw = self._cut(min(self._left, len(self._buffer)))
        self._left -= len(raw)
        if not self._left:
            self._take = self._take_chunk_size
        return Piece(raw)

    def _take_trailer(self) -> Piece | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return None
        if end == 0:
            self._take = self._take_head
        return Piece(self._cut(end + 2))

    def _take_rest(self) -> Piece:
        return Piece(self._cut(len(self._buffer)))

    def _cut(self, length: int) -> bytes:
        raw = bytes(self._buffer[:length])
        del self._buffer[:length]
        return raw


class _Requests(_Messages):
    def __init__(self, name_of: Namer, asked: deque[str]) -> None:
        super().__init__()
        self._name_of = name_of
        self._asked = asked

    def _head(self, raw: bytes, first: str, headers: dict[str, str]) -> Piece:
        method, target, *_ = first.split(" ")
        self._asked.append(method)
        if headers.get("upgrade", "").lower() == "websocket":
            self._take = self._take_rest
            return Piece(raw, opens=self._name_of("WS", target))
        self._expect_body(headers, else_to_the_end=False)
        return Piece(raw, opens=self._name_of(method, target))


class _Responses(_Messages):
    def __init__(self, asked: deque[str]) -> None:
        super().__init__()
        self._asked = asked
        self._frames: ServerFrames | None = None

    def split(self, data: bytes) -> list[Piece]:
        if self._frames:
            return self._frames.split(data)
        pieces = super().split(data)
        if self._frames:  # the upgrade came with the first frames behind it
            pieces += self._frames.split(self._cut(len(self._buffer)))
        return pieces

    def _head(self, raw: bytes, first: str, headers: dict[str, str]) -> Piece:
        status = int(first.split(" ")[1])
        if status == _SWITCHING:
            self._frames = ServerFrames()
            self._take = lambda: None
            return Piece(raw, answers=True)
        if status < _FIRST_FINAL:
            return Piece(raw)
        method = self._asked.popleft() if self._asked else ""
        if method == "HEAD" or status in _NO_BODY:
            self._take = self._take_head
        else:
            self._expect_body(headers, else_to_the_end=True)
        return Piece(raw, answers=True)
