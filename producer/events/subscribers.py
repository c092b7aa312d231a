"""Subscribers: the watchers by topic, and delivery of an event to those of its topics."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

from producer.events.notices import Notice

_log = logging.getLogger(__name__)

#: The topic of every event; the others are job ids and batch ids.
EVERYTHING: Final = "*"


class Watcher(Protocol):
    """A receiver of events. Its methods must not block, as that would delay all other watchers."""

    def offer(self, notices: Sequence[Notice]) -> None:
        """Receive events, in the order of the stream."""

    def lag(self) -> None:
        """Receive that events are missing, so that the records must be read."""


class Subscribers:
    """Watchers by topic. Not thread-safe: its owner uses one thread, or a lock."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[Watcher]] = {}

    def __bool__(self) -> bool:
        return bool(self._watchers)

    @property
    def topics(self) -> list[str]:
        """Every topic that has a watcher."""
        return list(self._watchers)

    def add(self, watcher: Watcher, topics: Iterable[str]) -> None:
        """Subscribe *watcher* to these topics, beside those that it has."""
        for topic in topics:
            self._watchers.setdefault(topic, set()).add(watcher)

    def remove(self, watcher: Watcher, topics: Iterable[str]) -> list[str]:
        """Unsubscribe *watcher* from these topics; return those that have no watcher now."""
        unwatched = []
        for topic in topics:
            watchers = self._watchers.get(topic, set())
            watchers.discard(watcher)
            if not watchers:
                self._watchers.pop(topic, None)
                unwatched.append(topic)
        return unwatched

    def count(self, topic: str) -> int:
        """Return the number of watchers of a topic."""
        return len(self._of(topic))

    def watches(self, job: str, batch: str) -> bool:
        """Tell whether an event of this job has any watcher."""
        there = self._watchers
        return EVERYTHING in there or job in there or batch in there

    def deliver(self, notices: Sequence[Notice]) -> None:
        """Offer each notice once to the watchers of its job, its batch or everything, in order."""
        everywhere = self._of(EVERYTHING)
        self._each(everywhere, notices)
        if len(self._watchers) > bool(everywhere):
            for notice in notices:
                watchers = self._of(notice.event.job) | self._of(notice.batch)
                self._each(watchers - everywhere, (notice,))

    def lag(self, job: str, batch: str) -> None:
        """Tell the watchers of this job that an event of it is missing."""
        self._each(self._of(EVERYTHING) | self._of(job) | self._of(batch), None)

    def lag_all(self) -> None:
        """Tell every watcher that events are missing."""
        self._each(_NOBODY.union(*self._watchers.values()), None)

    def _of(self, topic: str) -> AbstractSet[Watcher]:
        return self._watchers.get(topic, _NOBODY)

    def _each(self, watchers: AbstractSet[Watcher], notices: Sequence[Notice] | None) -> None:
        """Offer the notices to each watcher; None: events are missing. Removes watchers that raise."""
        broken = []
        for watcher in watchers:
            try:
                if notices is None:
                    watcher.lag()
                else:
                    watcher.offer(notices)
            except Exception:  # noqa: BLE001 - one failing watcher must not stop delivery to others
                _log.exception("a watcher is dropped")
                broken.append(watcher)
        for watcher in broken:
            self.remove(watcher, list(self._watchers))


_NOBODY: Final[frozenset[Watcher]] = frozenset()
