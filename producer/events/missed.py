"""Events that a watcher has missed, read from the stream as long as that holds them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

from producer.events.notices import AnyNotice, FleetNotice, Notice
from producer.events.subscribers import ALL_OF, EVERYTHING, owner_topics
from producer.store.events import Entry, EventStream

#: Entries of the stream that one call looks at: 20 ms.
_AT_ONCE: Final = 1_000
_ID: Final = re.compile(r"(\d{1,20})-(\d{1,20})")
_LARGEST: Final = (1 << 64) - 1


class Missed(NamedTuple):
    """A part of what came after a position.

    Args:
        notices: those of the topics, in order.
        position: up to there everything was looked at.
        is_end: whether nothing is left to be read now.
    """

    notices: list[AnyNotice]
    position: str
    is_end: bool


def missed(stream: EventStream, topics: Collection[str], *, after: str) -> Missed | None:
    """Return what came of some topics after an event's id; None if the stream does not hold all of it.

    Entries of other topics are passed over before they are decoded, and what only a newer version knows.
    """
    found = _ID.fullmatch(after)
    if not found or max(map(int, found.groups())) > _LARGEST:
        return None
    entries = stream.page_after(after, _AT_ONCE)
    if entries is None:
        return None
    wanted = frozenset(topics)
    return Missed(
        list(_notices(entries, wanted)),
        entries[-1].id if entries else after,
        is_end=len(entries) < _AT_ONCE,
    )


def topics_of(entry: Entry) -> tuple[str, ...]:
    """Return under which topics an entry of the stream is delivered; none if only a newer version knows it."""
    owner = owner_topics(entry.fields.get("owner", ""))
    if entry.is_of_job:
        return entry.job, entry.batch, EVERYTHING, *owner
    every = ALL_OF.get(entry.kind)
    return (f"{entry.kind}:{entry.about}", every, *owner) if every else ()


def notice_of(entry: Entry, topics: tuple[str, ...]) -> AnyNotice:
    """Return an entry as it is delivered.

    Raises:
        KeyError, ValueError: a newer version wrote it, in words that we do not know.
    """
    if entry.is_of_job:
        return Notice(entry.decoded(), entry.batch)
    return FleetNotice(entry.fleet_event(), topics)


def _notices(entries: Sequence[Entry], wanted: frozenset[str]) -> Iterator[AnyNotice]:
    for entry in entries:
        topics = topics_of(entry)
        if wanted.isdisjoint(topics):
            continue
        try:
            yield notice_of(entry, topics)
        except (KeyError, ValueError):
            continue
