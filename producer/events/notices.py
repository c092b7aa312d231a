"""Notices: events as watchers get them, each decoded once and encoded once, however many watch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final, Literal

from producer.contract.jobs import JobEvent


@dataclass(frozen=True, eq=False)
class Notice:
    """One event, shared by all who watch its job, its batch or everything."""

    event: JobEvent
    batch: str

    @cached_property
    def sse(self) -> bytes:
        """The event as a browser's EventSource reads it; its id is what to resume after."""
        body = self.event.model_dump_json(exclude_none=True)
        return f"id: {self.event.id}\ndata: {body}\n\n".encode()


class Lagged(Enum):
    """What a watcher gets in place of events that it has missed."""

    LAGGED = "lagged"


#: Events are missing before this point: read the records again. What follows is complete.
LAGGED: Final = Lagged.LAGGED

#: The same as a server-sent event, for a browser.
LAGGED_SSE: Final = b"event: lagged\ndata: {}\n\n"

#: What a watcher takes from its buffer: a notice, or `LAGGED`.
WatchItem = Notice | Literal[Lagged.LAGGED]


def encoded(items: Sequence[WatchItem]) -> bytes:
    """Return all of *items* as one buffer of server-sent events."""
    return b"".join(LAGGED_SSE if item is LAGGED else item.sse for item in items)
