"""Reader of the events that a key sees, one for all watchers of a client, over one connection to the API."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain
from threading import Lock, Thread
from typing import Final

from producer.contract.errors import FleetError, FleetUnreachable
from producer.contract.fleet_events import BatchEvent, FleetEvent, NodeEvent
from producer.contract.ids import row_of
from producer.contract.jobs import JobEvent
from producer.contract.text_cleaning import abridged, escaped
from producer.contract.waits import Deadline
from producer.events.notices import AnyNotice, FleetNotice, Notice
from producer.events.subscribers import BATCHES, NODES, Subscribers, Watcher, owner_topics
from producer.over_http import event_stream
from producer.over_http.connection import Connection
from producer.over_http.event_stream import EventSource, ServerEvent

_log = logging.getLogger(__name__)

#: All that the key sees.
PATH: Final = "/v1/events"
#: The names of server-sent events of jobs, batches and nodes; others, and those of a newer API, are passed over.
_OF_FLEET: Final = frozenset({"", "message"})
_KINDS: Final[dict[str, type[JobEvent | FleetEvent]]] = {
    "job": JobEvent,
    "batch": BatchEvent,
    "node": NodeEvent,
}
_SHOWN: Final = 300
#: Between two tries where the API refuses the stream, s: the key was revoked, or has too many.
_REFUSED_S: Final = 5.0


class HttpEventReader:
    """Reads the events of all that a key sees, for all watchers of one client. Thread-safe.

    Its thread and its connection begin with the first watcher, and end soon after the last. A lost connection is made
    anew, and goes on after the last event. Where the fleet holds what came meanwhile no more, all watchers get
    `LAGGED`, and also while the API refuses the stream: the next call then tells them why.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._subscribers = Subscribers()
        self._source: EventSource | None = None
        self._position = ""
        self._starting = Lock()  # held during I/O, only by `add`
        self._lock = Lock()

    @property
    def position(self) -> str:
        """The id in the stream up to which everything was delivered."""
        return self._position

    def add(self, watcher: Watcher, topics: Iterable[str]) -> str:
        """Subscribe *watcher* to these topics; return the id after which every event of theirs is delivered.

        Raises:
            FleetUnreachable: it is the first watcher, and the API does not answer.
            ScopeMissing: a topic is of nodes, and the key may not see them.
        """
        wanted = list(topics)
        if any(topic == NODES or topic.startswith("node:") for topic in wanted):
            self._connection("GET", "/v1/nodes")
        with self._starting:
            with self._lock:
                if self._source:
                    self._subscribers.add(watcher, wanted)
                    return self._position
            source = EventSource(self._connection, PATH, deadline=Deadline(None), after=None)
            events = _begun(source)
            with self._lock:
                self._source, self._position = source, source.position
                self._subscribers.add(watcher, wanted)
            Thread(target=self._run, args=(source, events), name="events", daemon=True).start()
            return source.position

    def remove(self, watcher: Watcher, topics: Iterable[str]) -> None:
        """Unsubscribe *watcher* from these topics."""
        with self._lock:
            self._subscribers.remove(watcher, topics)

    def close(self) -> None:
        """End the connection. Who still watches hears nothing more."""
        with self._lock:
            source, self._source = self._source, None
            self._subscribers = Subscribers()
        if source:
            source.stop()

    def _run(self, source: EventSource, events: Iterator[ServerEvent]) -> None:
        while self._has_watchers(source):
            try:
                for event in events:
                    self._deliver(source, event)
                    if not self._has_watchers(source):
                        break
                else:
                    _log.warning(
                        "the API ends the stream of events, and says that nothing will come"
                    )
            except FleetError as exc:
                _log.warning("events are not heard for now: %s", exc)
            except Exception:  # noqa: BLE001 - without it all watchers would wait for ever
                _log.exception("events were not passed on")
            if self._has_watchers(source):
                self._lag_all(source)
                time.sleep(_REFUSED_S)
            events = _all(source)
        source.stop()

    def _has_watchers(self, source: EventSource) -> bool:
        with self._lock:  # the next `add` finds it reading, or opens another
            if self._source is source and not self._subscribers:
                self._source = None
            return self._source is source

    def _deliver(self, source: EventSource, event: ServerEvent) -> None:
        with self._lock:
            if self._source is not source:
                return
            self._position = event.id
            if event.name == "reset":
                self._subscribers.lag_all()
            elif not event.is_mark:
                try:
                    if (notice := self._notice(event)) is not None:
                        self._subscribers.deliver([notice])
                except ValueError as exc:  # of a newer API
                    _log.warning("event %s is not understood: %s", event.id, shown(exc))
                    self._subscribers.lag_all()

    def _lag_all(self, source: EventSource) -> None:
        with self._lock:
            if self._source is source:
                self._subscribers.lag_all()

    def _notice(self, event: ServerEvent) -> AnyNotice | None:
        told = event_of(event)
        if told is None or told.type == "snapshot":
            return None
        if isinstance(told, JobEvent):
            return Notice(told, row_of(told.job)[0])
        return FleetNotice(told, _topics_of(told))


def event_of(event: ServerEvent) -> JobEvent | FleetEvent | None:
    """Return an event of the API as the library has it; None for one of another kind, or of a newer API.

    Raises:
        ValueError: a newer API sent it, in words that we do not know.
    """
    if event.is_mark or event.name not in _OF_FLEET:
        return None
    try:
        told = json.loads(event.data)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(told, dict):
        raise ValueError(f"it is a {type(told).__name__}")  # noqa: TRY004 - as of what it holds
    kind = _KINDS.get(str(told.get("kind", "job")))
    return kind.model_validate(told) if kind else None


def shown(flaw: ValueError) -> str:
    """Return what is wrong with an event in one line of a log, whatever it holds."""
    return abridged(escaped(str(flaw)), most=_SHOWN)


def _topics_of(event: FleetEvent) -> tuple[str, ...]:
    if isinstance(event, BatchEvent):
        return f"batch:{event.batch}", BATCHES, *owner_topics(event.owner)
    return f"node:{event.node}", NODES


def _begun(source: EventSource) -> Iterator[ServerEvent]:
    """Return the events of a source that has told its position.

    Raises:
        FleetUnreachable: the first connection cannot be made, or ends before that.
    """
    connections = source.connections()
    first = next(connections, iter(()))
    within = Deadline(timedelta(seconds=event_stream.SILENT_S))
    for _ in first:
        if source.position:
            return chain(first, chain.from_iterable(connections))
        if within.is_over:  # it tells that it lives, and nothing else
            break
    source.stop()
    raise FleetUnreachable("the API ended the stream of events before it had begun")


def _all(source: EventSource) -> Iterator[ServerEvent]:
    """Yield the events of a source, whatever becomes of its connections.

    Raises:
        FleetUnreachable: the first connection cannot be made.
    """
    for events in source.connections():
        yield from events
