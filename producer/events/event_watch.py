"""EventWatch: a subscription to the events of some jobs or batches, for threads."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from threading import Event
from types import TracebackType
from typing import Self

from producer.events.buffers import Buffer
from producer.events.notices import WatchItem
from producer.events.reader import Fanout


class EventWatch:
    """A subscription to the events of some topics, while a `with` block runs.

    Args:
        topics: job ids, batch ids, or `EVERYTHING`.
    """

    since: str  #: The id in the event stream after which every event is delivered.

    def __init__(self, fanout: Fanout, topics: Iterable[str]) -> None:
        self._fanout = fanout
        self._topics = tuple(topics)
        self._filled = Event()
        self._buffer = Buffer(self._filled.set)

    def __enter__(self) -> Self:
        """Subscribe.

        Raises:
            FleetUnreachable: Redis cannot be read now; later outages are waited for.
        """
        self.since = self._fanout.add(self._buffer, self._topics)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Unsubscribe."""
        self._fanout.remove(self._buffer, self._topics)

    def take(self, *, wait: timedelta) -> list[WatchItem]:
        """Return the items delivered since the last call, in order; wait up to *wait* for the first.

        Returns:
            Notices, and `LAGGED` in place of those that were dropped or lost: then read the records.
        """
        self._filled.wait(wait.total_seconds())
        self._filled.clear()
        return self._buffer.take()
