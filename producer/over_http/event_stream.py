"""Streams of server-sent events, read as they come and gone on with after the last one that was seen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any, Final, NamedTuple

import requests
from urllib3.exceptions import HTTPError

from producer.contract.errors import FleetUnreachable
from producer.contract.waits import Deadline
from producer.over_http.connection import Connection
from producer.over_http.problems import error_of

#: The API gives a sign of life each 15 s.
_SILENT_S: Final = 40.0
#: The pause before a lost stream is asked for again, s.
_AGAIN_S: Final = 2.0
_READ: Final = 1 << 16
_OVER: Final = 204
_SERVER_ERROR: Final = 500


class ServerEvent(NamedTuple):
    """One event as it came, or a sign of life.

    Args:
        id: after which a stream goes on; that of an earlier event where this one has none.
        name: empty for most; `reset` where events are missing before the next, `:` for a sign of life alone.
        data: JSON; empty where all up to *id* was told.
    """

    id: str
    name: str
    data: str

    @property
    def is_mark(self) -> bool:
        """Whether it tells nothing but its id."""
        return not (self.name or self.data)


class Ended(Exception):
    """The stream is over, and all of it was told."""


class EventSource:
    """One stream of the API. A lost connection is made anew, so that no event is missed or given twice.

    Args:
        path: with its query.
        after: the id of the last event that was seen.
    """

    def __init__(
        self, connection: Connection, path: str, *, deadline: Deadline, after: str | None
    ) -> None:
        self._connection = connection
        self._path = path
        self._deadline = deadline
        self.position = after or ""
        self.has_ended = False  #: Whether the API has said that nothing more will come.
        self._is_stopped = False
        self._answer: requests.Response | None = None

    def stop(self) -> None:
        """End the stream, from any thread."""
        self._is_stopped = True
        if answer := self._answer:
            with suppress(OSError, RuntimeError, ValueError):  # it has ended by itself
                answer.raw.shutdown()  # closing it would wait for the thread that reads

    def connections(self) -> Iterator[Iterator[ServerEvent]]:
        """Yield the events of one connection after the other, until the stream is over or the deadline.

        Raises:
            FleetUnreachable: the first connection cannot be made.
            FleetError: the API refuses the stream.
        """
        is_first = True
        while not (self._deadline.is_over or self._is_stopped):
            try:
                self._answer = answer = self._opened(is_first=is_first)
            except Ended:
                self.has_ended = True
                return
            except FleetUnreachable:
                if is_first:
                    raise
                self._pause()
                continue
            is_first = False
            with closing(answer):
                yield self._events(answer)
            self._pause()

    def _opened(self, *, is_first: bool) -> requests.Response:
        headers = {"Accept": "text/event-stream"}
        if self.position:
            headers["Last-Event-ID"] = self.position
        ask = self._connection if is_first else self._connection.send
        answer = ask("GET", self._path, headers=headers, stream=True)
        if answer.status_code == _OVER:
            answer.close()
            raise Ended
        if not answer.ok:
            error = error_of(answer)
            if answer.status_code >= _SERVER_ERROR:
                raise FleetUnreachable(error.message, advice=error.advice)
            raise error
        return answer

    def _events(self, answer: requests.Response) -> Iterator[ServerEvent]:
        name, position, has_id = "", self.position, False
        data: list[str] = []
        for line in self._lines(answer):
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "id":
                position, has_id = value, True
            elif key == "event":
                name = value
            elif key == "data":
                data.append(value)
            elif not line:
                self.position = position  # not before: an event that was cut off comes again
                yield ServerEvent(position, name or _sign(data, has_id), "\n".join(data))
                name, data, has_id = "", [], False

    def _lines(self, answer: requests.Response) -> Iterator[str]:
        """Yield lines until the connection ends, is silent for too long, or the deadline."""
        rest = b""
        raw: Any = answer.raw
        while not (self._deadline.is_over or self._is_stopped):
            left_s = min(_SILENT_S, max(0.01, self._deadline.left.total_seconds()))
            if (socket := getattr(raw.connection, "sock", None)) is not None:
                socket.settimeout(left_s)
            try:
                chunk = raw.read1(_READ, decode_content=True)
            except (HTTPError, OSError):
                return
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.rstrip(b"\r").decode("utf-8", "replace") for line in lines)

    def _pause(self) -> None:
        if not self._is_stopped:
            time.sleep(min(_AGAIN_S, self._deadline.left.total_seconds()))


def _sign(data: list[str], has_id: bool) -> str:  # noqa: FBT001 - the two parts of an event without a name
    return "" if data or has_id else ":"
