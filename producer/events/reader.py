"""Reader of the event stream, one per process and fleet, which delivers to all watchers (fan-out)."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final

from producer.contract.config.settings import Settings
from producer.contract.errors import FleetUnreachable
from producer.events.missed import notice_of, topics_of
from producer.events.notices import AnyNotice
from producer.events.subscribers import Subscribers, Watcher
from producer.store.connection import connect
from producer.store.events import Cursor, Entry, EventStream

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)

#: How long one read blocks for new entries, and the reader's thread at most outlives its last watcher.
_WAIT: Final = timedelta(seconds=2)
#: How often the stream is checked for entries that were trimmed or lost before they were read, s.
_GAP_CHECK_EVERY_S: Final = 1.0
#: How often workers are told that somebody watches, s; a third of how long that holds.
_TELL_EVERY_S: Final = 5.0
#: Between two tries to reach a Redis that is away, s.
_AWAY_S: Final = 0.5


class Fanout:
    """Reads the stream for all watchers of the process together. Thread-safe.

    Its thread starts with the first watcher and ends soon after the last. In an outage of Redis it
    waits, then continues after the last entry it has read. If that entry is gone, all watchers get
    `LAGGED`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._subscribers = Subscribers()
        self._position = ""
        self._is_reading = False
        self._starting = Lock()  # held during I/O, only by `add`
        self._lock = Lock()

    @property
    def is_reading(self) -> bool:
        """Whether its thread reads the stream."""
        return self._is_reading

    @property
    def position(self) -> str:
        """The id in the stream up to which everything was delivered."""
        return self._position

    def watchers(self, topic: str) -> int:
        """Return the number of watchers of a topic; an event loop counts as one."""
        with self._lock:
            return self._subscribers.count(topic)

    def add(self, watcher: Watcher, topics: Iterable[str]) -> str:
        """Subscribe *watcher* to these topics.

        Returns:
            The id in the stream after which every event of these topics is delivered.

        Raises:
            FleetUnreachable: it is the first watcher, and Redis cannot be read.
        """
        with self._starting:
            with self._lock:
                if self._is_reading:
                    self._subscribers.add(watcher, topics)
                    return self._position
            redis = connect(self._settings)
            try:
                cursor = Cursor(EventStream(redis))
                reader = Thread(target=self._run, args=(redis, cursor), name="fan-out", daemon=True)
                with self._lock:  # the new thread first waits for it
                    reader.start()
                    self._subscribers.add(watcher, topics)
                    self._position = cursor.position
                    self._is_reading = True
            except BaseException:
                redis.close()
                raise
            return cursor.position

    def remove(self, watcher: Watcher, topics: Iterable[str]) -> None:
        """Unsubscribe *watcher* from these topics."""
        with self._lock:
            self._subscribers.remove(watcher, topics)

    def _run(self, redis: Redis, cursor: Cursor) -> None:
        check_at, tell_at, is_away = 0.0, 0.0, False
        stream = EventStream(redis)
        with closing(redis):
            while self._has_watchers():
                try:
                    if time.monotonic() >= tell_at:
                        stream.say_watched()
                        tell_at = time.monotonic() + _TELL_EVERY_S
                    self._deliver(cursor.read(wait=_WAIT), cursor.position)
                    if time.monotonic() >= check_at:
                        self._check_for_gaps(cursor)
                        check_at = time.monotonic() + _GAP_CHECK_EVERY_S
                    is_away = False
                except FleetUnreachable as exc:
                    if self._subscribers and not is_away:  # without watchers nobody misses events
                        _log.warning("events are not heard for now: %s", exc)
                    check_at, is_away = 0.0, True
                    time.sleep(_AWAY_S)
                except Exception:  # noqa: BLE001 - without it all watchers would wait for ever
                    _log.exception("events were not passed on")
                    self._lag_all(cursor.position)
                    time.sleep(_AWAY_S)

    def _has_watchers(self) -> bool:
        with self._lock:  # the next `add` finds it reading, or starts a new thread
            self._is_reading = bool(self._subscribers)
            return self._is_reading

    def _deliver(self, entries: Sequence[Entry], position: str) -> None:
        with self._lock:
            self._position = position
            if notices := list(self._notices(entries)):
                self._subscribers.deliver(notices)

    def _check_for_gaps(self, cursor: Cursor) -> None:
        if not cursor.is_whole():
            _log.warning("events were lost before they were read: watchers read the records")
            self._lag_all(cursor.position)

    def _lag_all(self, position: str) -> None:
        with self._lock:
            self._position = position
            self._subscribers.lag_all()

    def _notices(self, entries: Iterable[Entry]) -> Iterator[AnyNotice]:
        for entry in entries:
            topics = topics_of(entry)
            if not self._subscribers.watches(topics):
                continue
            try:
                yield notice_of(entry, topics)
            except (KeyError, ValueError) as exc:
                _log.warning("event %s is not understood: %r", entry.id, exc)
                self._subscribers.lag(topics)


_FANOUTS: Final[dict[tuple[int, str], Fanout]] = {}


def fanout_of(settings: Settings) -> Fanout:
    """Return this process's reader of the fleet's events; a forked child has its own."""
    return _FANOUTS.setdefault((os.getpid(), settings.redis_url), Fanout(settings))
