"""Notices: events as delivered to watchers, each decoded and encoded once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final, Literal

from producer.contract.jobs import JobEvent


@dataclass(frozen=True, eq=False)
class Notice:
    """One event, shared by all watchers of its job, its batch or everything."""

    event: JobEvent
    batch: str

    @cached_property
    def sse(self) -> bytes:
        """The event as a server-sent event, with its id to resume after."""
        body = self.event.model_dump_json(exclude_none=True)
        return f"id: {self.event.id}\ndata: {body}\n\n".encode()


class Lagged(Enum):
    """The type of `LAGGED`, which a watcher gets in place of missed events."""

    LAGGED = "lagged"


#: Events are missing before this item: read the records again. The items after it are complete.
LAGGED: Final = Lagged.LAGGED

#: The same as a server-sent event.
LAGGED_SSE: Final = b"event: lagged\ndata: {}\n\n"

#: An item in a watcher's buffer: a notice, or `LAGGED`.
WatchItem = Notice | Literal[Lagged.LAGGED]


def encoded(items: Sequence[WatchItem]) -> bytes:
    """Return all of *items* as one buffer of server-sent events."""
    return b"".join(LAGGED_SSE if item is LAGGED else item.sse for item in items)
