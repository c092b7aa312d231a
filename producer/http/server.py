"""The server: uvicorn, with a bound on how long a connection may be silent, and streams that end with it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

import uvicorn
from uvicorn.config import LOGGING_CONFIG
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from producer.http.problems import Problem, ProblemType
from producer.http.streams import Streams

#: How long a client may take to send the head of a request, of the first one from when it connects, s; and what is left of
#: its body once it is answered.
_HEAD_WITHIN_S: Final = 15.0
#: Bytes that may come without an end of a head, or a part of a body: headers and trailers have no bound of the parser's,
#: and anybody may send them, with a key or without. What comes at once counts only as much as is read at once, 256 KiB.
_LONGEST_HEAD: Final = 1 << 16
#: How long requests that are under way have when the process is told to end, s.
_GRACE_S: Final = 10
#: How long a client may read nothing of what waits for it, s; how often that is looked at; and what counts as reading,
#: bytes.
_UNREAD_S: Final = 20.0
_LOOKED_EVERY_S: Final = 5.0
_LEAST_READ: Final = 64 << 10


class Connection(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for its first request."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(_HEAD_WITHIN_S, transport.abort)
        self._deadline = self.timeout_keep_alive_task
        self._is_in_head, self._has_all = False, True
        self._parts = 0  #: Of requests, that came.
        self._bytes_of_none = 0  #: That came since the last of these.
        self._unread: tuple[int, float] | None = None  #: Bytes, and since when it is not much less.
        self._watch = self.loop.call_later(_LOOKED_EVERY_S, self._check_reader)

    def _check_reader(self) -> None:
        """Cut off who does not read: writing waits for it, and so does a connection that is closed."""
        self._watch = self.loop.call_later(_LOOKED_EVERY_S, self._check_reader)
        size, now = self.transport.get_write_buffer_size(), self.loop.time()
        if not size or not (self.flow.write_paused or self.transport.is_closing()):
            self._unread = None
        elif self._unread is None or size <= self._unread[0] - _LEAST_READ:
            self._unread = size, now
        elif now - self._unread[1] >= _UNREAD_S:
            self.transport.abort()

    def resume_writing(self) -> None:
        """It has read almost all: what waits next is new."""
        super().resume_writing()
        self._unread = None

    def data_received(self, data: bytes) -> None:
        """Read on; the first deadline holds until a head is complete."""
        self.timeout_keep_alive_task = (
            None if self.timeout_keep_alive_task is self._deadline else self.timeout_keep_alive_task
        )
        parts = self._parts
        super().data_received(data)
        self._bytes_of_none = self._bytes_of_none + len(data) if parts == self._parts else 0
        if self._bytes_of_none > _LONGEST_HEAD:
            self._deadline.cancel()
            if self._is_in_head:
                self.send_400_response("")
            else:  # the app answers, or has answered
                self.transport.abort()
        elif self._is_in_head and self._deadline.cancelled():
            self._deadline = self.loop.call_later(_HEAD_WITHIN_S, self.transport.abort)

    def on_body(self, body: bytes) -> None:
        """A part of a body came."""
        self._parts += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of a request came."""
        self._parts += 1
        self._has_all = True
        self._deadline.cancel()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Let the rest of a body that nobody reads come within a time: else it could hold the connection for ever."""
        super().on_response_complete()
        is_its_own = self.cycle.response_complete  # else the next request has begun
        if is_its_own and not self._has_all:
            self._deadline.cancel()
            self._deadline = self.loop.call_later(_HEAD_WITHIN_S, self.transport.abort)

    def on_message_begin(self) -> None:
        """Let the app cut the connection of who does not read."""
        self._parts += 1
        self._is_in_head, self._has_all = True, False
        super().on_message_begin()
        self.scope["transport"] = self.transport  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._parts += 1
        self._is_in_head = False
        self._deadline.cancel()
        super().on_headers_complete()
        # Trailers are no headers, though they may come before anybody has looked at these.
        self.headers = []

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - its own words are of the parser
        """Answer what is no request, or has a URL or headers of more than 64 kB, with a problem as everything else."""
        problem = Problem(
            ProblemType.MALFORMED_REQUEST,
            "this is no HTTP request that can be read, or its URL or its headers have more than 65,535 bytes",
        )
        answer = problem.response()
        answer.headers["connection"] = "close"
        lines = [b"HTTP/1.1 400 Bad Request"]
        lines += [name + b": " + value for name, value in answer.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(answer.body)]))
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._deadline.cancel()
        self._watch.cancel()
        super().connection_lost(exc)


class Server(uvicorn.Server):
    """A server that ends its streams at once when it is told to end; other requests have their time."""

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all that is open."""
        self._streams.close()
        await super().shutdown(sockets)


def config_of(
    app: Any, *, host: str, port: int, access_log: bool, logs: bool = True
) -> uvicorn.Config:
    """Return how an app is served.

    Args:
        logs: whether it sets up the logging of this process.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Connection,
        ws="none",
        access_log=access_log,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACE_S,
        log_level="info" if logs else "warning",
        log_config=LOGGING_CONFIG if logs else None,
    )
