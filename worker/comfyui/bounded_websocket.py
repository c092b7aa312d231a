"""A websocket with bounds on the length of its handshake and of a message."""

from __future__ import annotations

import socket
from typing import Any, Final

from websocket import ABNF, WebSocket, WebSocketPayloadException

#: Bytes of one message, which may come in many frames. A preview of ComfyUI 0.33.0 has some
#: hundred kB, and what graph nodes show comes in its messages, too.
LONGEST_MESSAGE: Final = 32 << 20
#: Bytes of a handshake's answer; ComfyUI's has some hundred.
_LONGEST_HANDSHAKE: Final = 64 << 10


class HandshakeSocket:
    """A socket for the time of the handshake: it takes headers of a bounded length only.

    websocket-client 1.9 reads a header line of any length, byte by byte.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._bytes = 0

    def recv(self, size: int) -> bytes:
        """Receive up to *size* bytes.

        Raises:
            WebSocketPayloadException: more came than a handshake has.
        """
        self._bytes += size
        if self._bytes > _LONGEST_HANDSHAKE:
            raise WebSocketPayloadException(
                f"a handshake of more than {_LONGEST_HANDSHAKE:,} bytes"
            )
        return self._line.recv(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line, name)


class BoundedWebSocket(WebSocket):
    """Ends the connection at a longer message, before it is read.

    websocket-client 1.9 reads a frame of any length whole, and puts frames together without end.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._message_bytes = 0
        read_length = self.frame_buffer.recv_length

        def recv_length() -> None:
            read_length()
            self._message_bytes += self.frame_buffer.length or 0
            if self._message_bytes > LONGEST_MESSAGE:
                raise WebSocketPayloadException(f"a message of more than {LONGEST_MESSAGE:,} bytes")

        self.frame_buffer.recv_length = recv_length  # type: ignore[method-assign]

    def recv_frame(self) -> ABNF:
        """Return the next frame; a message that has ended no longer counts."""
        frame: ABNF = super().recv_frame()  # type: ignore[no-untyped-call]
        if frame.fin:
            self._message_bytes = 0
        return frame
