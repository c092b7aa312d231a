"""A websocket's frames as the server sends them: one piece each, named by the message's type."""

from __future__ import annotations

import json
from typing import Final

from tests.chaos.proxy.pieces import Piece

_TEXT: Final = 1
_SHORT, _LONG = 126, 127


class ServerFrames:
    """Cuts one direction of a websocket; a server's frames carry no mask (RFC 6455)."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def split(self, data: bytes) -> list[Piece]:
        """Return the frames that are complete."""
        self._buffer += data
        pieces = []
        while (body := self._body()) is not None:
            start, end = body
            opcode = self._buffer[0] & 0x0F
            name = _name(opcode, bytes(self._buffer[start:end]))
            pieces.append(Piece(bytes(self._buffer[:end]), opens=name))
            del self._buffer[:end]
        return pieces

    def _body(self) -> tuple[int, int] | None:
        """Return where the first frame's body begins and ends, once all of it is here."""
        if len(self._buffer) < 2:
            return None
        length, start = self._buffer[1] & 0x7F, 2
        if length in (_SHORT, _LONG):
            start = 4 if length == _SHORT else 10
            if len(self._buffer) < start:
                return None
            length = int.from_bytes(self._buffer[2:start], "big")
        if len(self._buffer) < start + length:
            return None
        return start, start + length


def _name(opcode: int, body: bytes) -> str:
    if opcode != _TEXT:
        return "WS frame"
    try:
        return f"WS {json.loads(body)['type']}"
    except (ValueError, KeyError, TypeError):
        return "WS text"
