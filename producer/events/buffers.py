"""What one watcher has yet to see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

from producer.events.notices import LAGGED, Notice, Told
from producer.store.events import order

#: Some seconds of a large fleet; more would only tell a slow watcher old news.
_SIZE: Final = 1000


class Buffer:
    """Bounded, so that a slow watcher costs neither memory nor anybody's time.

    One that falls behind loses what it has not seen and is told so in its place: by reading the
    records it learns more than from a backlog. It may be filled and taken from by two threads.

    Args:
        wake: called, in the filling thread, whenever there is something to take.
    """

    def __init__(self, wake: Callable[[], None], *, size: int = _SIZE) -> None:
        self._wake = wake
        self._size = size
        self._lock = Lock()
        self._told: list[Told] = []

    def offer(self, notices: Sequence[Notice]) -> None:
        """Keep what has happened, or note that it was too much."""
        with self._lock:
            if len(self._told) + len(notices) > self._size:
                self._told = [LAGGED]
            else:
                self._told.extend(notices)
        self._wake()

    def lag(self) -> None:
        """Note that events are missing."""
        with self._lock:
            self._told = [LAGGED]
        self._wake()

    def take(self) -> list[Told]:
        """Return what has come since the last time."""
        with self._lock:
            told, self._told = self._told, []
        return told

    def forget_until(self, since: str) -> None:
        """Leave out what happened up to *since*, the stream's id: it was meant for others."""
        begin = order(since)
        with self._lock:
            self._told = [one for one in self._told if one is LAGGED or order(one.event.id) > begin]
