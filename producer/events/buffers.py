"""Buffers, bounded, one per watcher: events that were delivered and not taken yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

from producer.contract.ids import event_order
from producer.events.notices import LAGGED, AnyNotice, FleetWatchItem

#: Notices in a buffer: some seconds of a large fleet; a watcher further behind reads records instead.
_SIZE: Final = 1000


class Buffer:
    """Holds a bounded number of notices, so that a slow watcher needs no memory and delays no other.

    On overflow its content is replaced by `LAGGED`: reading the records is faster than a long
    backlog of events. Thread-safe.

    Args:
        wake: called, in the filling thread, whenever there are items to take.
    """

    def __init__(self, wake: Callable[[], None], *, size: int = _SIZE) -> None:
        self._wake = wake
        self._size = size
        self._lock = Lock()
        self._items: list[FleetWatchItem] = []
        #: May take notices in the filling thread while nothing lies here; tells whether it has.
        self.passing: Callable[[Sequence[AnyNotice]], bool] | None = None

    def offer(self, notices: Sequence[AnyNotice]) -> None:
        """Append notices, or replace everything by `LAGGED` where they do not fit."""
        if self.passing and not self._items and self.passing(notices):
            return
        with self._lock:
            if len(self._items) + len(notices) > self._size:
                self._items = [LAGGED]
            else:
                self._items.extend(notices)
        self._wake()

    def lag(self) -> None:
        """Replace everything by `LAGGED`: events are missing."""
        with self._lock:
            self._items = [LAGGED]
        self._wake()

    def take(self) -> list[FleetWatchItem]:
        """Return what was delivered since the last call, and empty the buffer."""
        with self._lock:
            items, self._items = self._items, []
        return items

    def forget_until(self, since: str) -> None:
        """Drop notices up to the stream's id *since*, which were delivered for an earlier subscription."""
        begin = event_order(since)
        with self._lock:
            self._items = [
                item for item in self._items if item is LAGGED or event_order(item.event.id) > begin
            ]
