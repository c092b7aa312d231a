"""Subscribers: the watchers by topic, and delivery of an event to those of its topics."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

from producer.events.notices import AnyNotice, Notice

_log = logging.getLogger(__name__)

#: The topic of every event of jobs. A job's id is a topic, and a batch's, for the events of its jobs.
EVERYTHING: Final = "*"
#: `owner:NAME` is the topic of the jobs and batches of one owner.
#: The topics of every batch and of every node; `batch:ID` and `node:NAME` are those of one.
BATCHES: Final = "batches"
NODES: Final = "nodes"
#: That of every one, by the kind of what an event is of.
ALL_OF: Final = {"batch": BATCHES, "node": NODES}


def owner_topics(owner: str) -> tuple[str, ...]:
    """Return the topic of all that is an owner's, jobs and batches; none for the default owner."""
    return (f"owner:{owner}",) if owner else ()


class Watcher(Protocol):
    """A receiver of events. Its methods must not block, as that would delay all other watchers."""

    def offer(self, notices: Sequence[AnyNotice]) -> None:
        """Take events, in the order of the stream."""

    def lag(self) -> None:
        """Receive that events are missing, so that the records must be read."""


class EventReader(Protocol):
    """A reader of a fleet's events, for all watchers of a process."""

    @property
    def position(self) -> str:
        """The id in the stream up to which everything was delivered."""

    def add(self, watcher: Watcher, topics: Iterable[str]) -> str:
        """Subscribe a watcher; return the id after which every event of these topics is delivered to it."""

    def remove(self, watcher: Watcher, topics: Iterable[str]) -> None:
        """Unsubscribe a watcher from these topics."""


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

    def watches(self, topics: Iterable[str]) -> bool:
        """Tell whether any of these topics has a watcher."""
        return any(topic in self._watchers for topic in topics)

    def deliver(self, notices: Sequence[AnyNotice]) -> None:
        """Offer each notice to those who watch its topics: once, in order."""
        everywhere = self._of(EVERYTHING)
        jobs = [notice for notice in notices if isinstance(notice, Notice)]
        if everywhere and len(jobs) < len(notices):
            self._deliver_singly(notices)
            return
        self._each(everywhere, jobs)
        if len(self._watchers) > bool(everywhere):
            for notice in notices:
                self._each(self._watching(notice.topics) - everywhere, (notice,))

    def _deliver_singly(self, notices: Sequence[AnyNotice]) -> None:
        """Keep the order for who watches everything of jobs, and a batch or a node as well."""
        for notice in notices:
            also = (EVERYTHING,) if isinstance(notice, Notice) else ()
            self._each(self._watching((*notice.topics, *also)), (notice,))

    def lag(self, topics: Iterable[str]) -> None:
        """Note for those who watch these topics that an event of theirs is missing."""
        self._each(self._watching(topics), None)

    def lag_all(self) -> None:
        """Tell every watcher that events are missing."""
        self._each(_NOBODY.union(*self._watchers.values()), None)

    def _watching(self, topics: Iterable[str]) -> AbstractSet[Watcher]:
        return _NOBODY.union(*map(self._of, topics))

    def _of(self, topic: str) -> AbstractSet[Watcher]:
        return self._watchers.get(topic, _NOBODY)

    def _each(self, watchers: AbstractSet[Watcher], notices: Sequence[AnyNotice] | None) -> None:
        """Offer the notices to each; None: events are missing."""
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
