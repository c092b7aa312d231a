"""Streams of server-sent events, read as they come and gone on with after the last one that was seen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from typing import Any, Final, NamedTuple

import requests
from urllib3.exceptions import HTTPError

from producer.contract.arguments import event_id_of
from producer.contract.errors import FleetUnreachable, InvalidQuery
from producer.contract.waits import Deadline
from producer.over_http.answers import LONGEST_LINE, lines_of
from producer.over_http.connection import Connection
from producer.over_http.problems import error_of, place_of

#: The API gives a sign of life each 15 s.
SILENT_S: Final = 40.0
#: The pause before a lost stream is asked for again, s.
_AGAIN_S: Final = 2.0
_READ: Final = 1 << 16
#: Packed events would come when the packer likes.
_HEADERS: Final = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
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
        self._begins: Deadline | None = None  #: Until then the first event must be there.
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
            FleetUnreachable: the first connection cannot be made, or what comes is no stream of the API's.
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
        headers = {**_HEADERS, **({"Last-Event-ID": self.position} if self.position else {})}
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
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            answer.close()
            raise FleetUnreachable(
                f"{place_of(answer)} answers {answer.status_code}, and not with events",
                advice="is this the API's address, and does it run behind its proxy?",
            )
        return answer

    def _events(self, answer: requests.Response) -> Iterator[ServerEvent]:
        name, position, has_id = "", self.position, False
        data: list[str] = []
        size = 0
        for line in lines_of(self._chunks(answer), only_whole=True):
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            size += len(line) + 1
            if size > LONGEST_LINE:
                raise FleetUnreachable(
                    f"the API sends an event of more than {LONGEST_LINE:,} bytes"
                )
            if key == "id":
                position, has_id = _checked(value), True
            elif key == "event":
                name = value
            elif key == "data":
                data.append(value)
            elif not line:
                self.position = position  # not before: an event that was cut off comes again
                self._begins = None
                yield ServerEvent(position, name or _sign(data, has_id), "\n".join(data))
                name, data, has_id, size = "", [], False, 0

    def _chunks(self, answer: requests.Response) -> Iterator[bytes]:
        """Yield bytes until the connection ends, is silent for too long, or the deadline."""
        begins = self._begins = Deadline(timedelta(seconds=SILENT_S))
        raw: Any = answer.raw
        while not (self._deadline.is_over or self._is_stopped):
            if self._begins is begins and begins.is_over:
                return  # it dribbles
            left_s = min(SILENT_S, max(0.01, self._deadline.left.total_seconds()))
            if (socket := getattr(raw.connection, "sock", None)) is not None:
                socket.settimeout(left_s)
            try:
                chunk = raw.read1(_READ, decode_content=True)
            except (HTTPError, OSError):
                return
            if not chunk:
                return
            yield chunk

    def _pause(self) -> None:
        if not self._is_stopped:
            time.sleep(min(_AGAIN_S, self._deadline.left.total_seconds()))


def _checked(position: str) -> str:
    """Return the id of an event; raises FleetUnreachable for what the API sends as none."""
    try:
        return event_id_of(position) if position else ""
    except InvalidQuery as exc:
        raise FleetUnreachable(f"the API sends an event under no id: {exc.message}") from None


def _sign(data: list[str], has_id: bool) -> str:  # noqa: FBT001 - the two parts of an event without a name
    return "" if data or has_id else ":"
