"""Watching from a thread."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from threading import Event
from types import TracebackType
from typing import Self

from producer.events.buffers import Buffer
from producer.events.notices import Told
from producer.events.reader import Fanout


class Watch:
    """What is told of some topics, for the length of a `with` block.

    Args:
        topics: job ids, batch ids, or `EVERYTHING`.
    """

    since: str  #: The stream's id after which everything is told.

    def __init__(self, fanout: Fanout, topics: Iterable[str]) -> None:
        self._fanout = fanout
        self._topics = tuple(topics)
        self._news = Event()
        self._buffer = Buffer(self._news.set)

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            FleetUnreachable: Redis cannot be read. Later on that is waited for.
        """
        self.since = self._fanout.add(self._buffer, self._topics)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self._fanout.remove(self._buffer, self._topics)

    def take(self, *, wait: timedelta) -> list[Told]:
        """Return what has come since the last time; wait for it up to *wait*."""
        self._news.wait(wait.total_seconds())
        self._news.clear()
        return self._buffer.take()
