"""Watches for code that runs in threads: the events of some jobs, or of batches and nodes as well."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from threading import Event
from types import TracebackType
from typing import Self

from producer.events.buffers import Buffer
from producer.events.notices import FleetNotice, FleetWatchItem, WatchItem
from producer.events.subscribers import EventReader


class _Subscription:
    """A subscription to the events of some topics, for the length of a `with` block."""

    since: str  #: The id in the event stream after which every event is delivered.

    def __init__(self, fanout: EventReader, topics: Iterable[str]) -> None:
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

    def _taken(self, wait: timedelta) -> list[FleetWatchItem]:
        self._filled.wait(wait.total_seconds())
        self._filled.clear()
        return self._buffer.take()


class EventWatch(_Subscription):
    """A subscription to the events of jobs, for the length of a `with` block.

    Args:
        topics: job ids, batch ids for the jobs of a batch, or `EVERYTHING`.
    """

    def take(self, *, wait: timedelta) -> list[WatchItem]:
        """Return the items delivered since the last call, in order; wait up to *wait* for the first.

        Returns:
            Notices, and `LAGGED` in place of those that were dropped or lost: then read the records.
        """
        return [item for item in self._taken(wait) if not isinstance(item, FleetNotice)]


class FleetWatch(_Subscription):
    """A subscription to the events of batches and nodes, and of jobs as well.

    Args:
        topics: `batch:ID` and `node:NAME`, `BATCHES` and `NODES`; and those of `EventWatch`.
    """

    def take(self, *, wait: timedelta) -> list[FleetWatchItem]:
        """Return what was delivered, as `EventWatch.take` does."""
        return self._taken(wait)
