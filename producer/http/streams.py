"""Open streams of server-sent events: sent as they come, cut where nobody reads, closed with the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from producer.contract.errors import AccessKeyNotValid, FleetError
from producer.http.event_feed import EventFeed
from producer.http.problems import Problem, ProblemType

_log = logging.getLogger(__name__)

#: How long a client may take to read what lies in the socket before it is dropped, s.
_UNREAD_S: Final = 20.0
#: How often the key of an open stream is looked at again, s.
_KEY_CHECK_S: Final = 60.0
#: One owner may have half of the streams: no one keeps all others out.
_OF_OWNER: Final = 2
_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would gather events before it passes them on
]


class Streams:
    """The streams that this process has open.

    Args:
        most: of them at once.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._open: dict[asyncio.Task[Any], str] = {}

    def __len__(self) -> int:
        return len(self._open)

    def check_room(self, owner: str) -> None:
        """Raise a Problem if there is no room for another stream, or none for one more of an owner's."""
        if len(self._open) >= self._most:
            raise Problem(
                ProblemType.TOO_MANY_STREAMS,
                f"this process has {self._most:,} streams open already",
            )
        its_most = max(1, self._most // _OF_OWNER)
        if sum(found == owner for found in self._open.values()) >= its_most:
            raise Problem(
                ProblemType.TOO_MANY_REQUESTS,
                f"this owner has {its_most:,} streams open already, as many as it may have in one process",
                advice="follow several jobs by one stream: /v1/events",
            )

    def begin(self, work: asyncio.Task[Any], owner: str) -> None:
        """Count an owner's stream until its task is done."""
        self._open[work] = owner
        work.add_done_callback(lambda done: self._open.pop(done, None))

    def close(self) -> None:
        """End all of them; clients connect again, to another process."""
        for task in list(self._open):
            task.cancel()


class EventStreamResponse(Response):
    """An ASGI answer: what a feed yields, until it or the client ends, or its key is not valid any more.

    Args:
        frames: of the feed, with what else is sent.
        owner: whose stream it is.
        check_key: raises AccessKeyNotValid.
    """

    def __init__(
        self,
        feed: EventFeed,
        frames: AsyncIterator[bytes],
        streams: Streams,
        owner: str,
        check_key: Callable[[], Awaitable[object]],
    ) -> None:
        super().__init__()
        self._feed = feed
        self._frames = frames
        self._streams = streams
        self._owner = owner
        self._check_key = check_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it; return at once when the client is gone."""
        try:
            self._streams.check_room(self._owner)  # others may have come since the route looked
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if scope.get("state", {}).get("is_head"):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        write = self._feed.write = _writer(scope)
        tasks = [
            asyncio.ensure_future(self._pump(send, write)),
            asyncio.ensure_future(_gone(receive)),
            asyncio.ensure_future(self._watch_key()),
        ]
        self._streams.begin(tasks[0], self._owner)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(_UNREAD_S / 10):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            if transport := scope.get("transport"):
                transport.abort()  # closing it would wait for a client that does not read

    async def _pump(self, send: Send, write: Callable[[bytes], bool]) -> None:
        frames = self._frames
        try:
            async for frame in frames:
                if write(frame):
                    continue
                async with asyncio.timeout(_UNREAD_S):
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
        except TimeoutError:
            _log.info("a client that reads nothing is dropped")
        except FleetError as exc:
            _log.warning("a stream ends: %s", exc)
        finally:
            with suppress(AttributeError):
                await frames.aclose()  # type: ignore[attr-defined]

    async def _watch_key(self) -> None:
        while True:
            await asyncio.sleep(_KEY_CHECK_S)
            try:
                await self._check_key()
            except AccessKeyNotValid:
                return
            except FleetError:
                continue


def _writer(scope: Scope) -> Callable[[bytes], bool]:
    """Return what writes a frame to the connection at once, as a chunk, if it may, and tells whether it has.

    The way through middleware and server costs more than all else that an event does for a watcher. It is taken where a
    client does not keep up, and by others than HTTP/1.1.
    """
    transport: asyncio.Transport | None = scope.get("transport")
    if transport is None or scope.get("http_version") != "1.1":
        return lambda _: False

    def write(frame: bytes) -> bool:
        if transport.get_write_buffer_size():
            return False
        if frame:  # an empty chunk would be the last one
            transport.write(_chunk(frame))  # one that is lost drops it, and the stream's task ends
        return True

    return write


# A frame goes to a thousand connections one after another, so the last one is kept as it was written.
@lru_cache(maxsize=1)
def _chunk(frame: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(frame), frame)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
