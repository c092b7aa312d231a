"""Notices: events as delivered to watchers, each decoded and encoded once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final, Literal

from producer.contract.fleet_events import FleetEvent
from producer.contract.ids import event_order
from producer.contract.jobs import JobEvent, JobStatus


# What each of a thousand watchers asks of a notice is found once.
@dataclass(frozen=True, eq=False)
class Notice:
    """One event of a job, shared by all who watch the job, its batch or everything."""

    event: JobEvent
    batch: str

    @cached_property
    def order(self) -> tuple[int, int]:
        """What notices are sorted by."""
        return event_order(self.event.id)

    @cached_property
    def has_ended(self) -> bool:
        """Whether the job has ended by it."""
        return self.event.status.is_terminal

    @cached_property
    def runs(self) -> bool:
        """Whether the job runs since."""
        return self.event.status is JobStatus.RUNNING

    @property
    def topics(self) -> tuple[str, ...]:
        """Under which it is delivered, beside `EVERYTHING`."""
        owner = self.event.owner
        return (
            (self.event.job, self.batch, f"owner:{owner}")
            if owner
            else (self.event.job, self.batch)
        )

    @cached_property
    def sse(self) -> bytes:
        """The event as a browser's EventReader reads it; its id is what to resume after."""
        return sse_of(self.event)


@dataclass(frozen=True, eq=False)
class FleetNotice:
    """One event of a batch or a node, shared by all who watch it."""

    event: FleetEvent
    topics: tuple[str, ...]

    @cached_property
    def order(self) -> tuple[int, int]:
        """The same as of `Notice`."""
        return event_order(self.event.id)

    @cached_property
    def sse(self) -> bytes:
        """The same as of `Notice`; its `kind` tells what it is of."""
        return sse_of(self.event)


AnyNotice = Notice | FleetNotice


def sse_of(event: JobEvent | FleetEvent) -> bytes:
    """Return an event as a browser's EventReader reads it."""
    return f"id: {event.id}\ndata: {event.model_dump_json(exclude_none=True)}\n\n".encode()


class Lagged(Enum):
    """The type of `LAGGED`, which a watcher gets in place of missed events."""

    LAGGED = "lagged"


#: Events are missing before this item: read the records again. The items after it are complete.
LAGGED: Final = Lagged.LAGGED

#: The same as a server-sent event.
LAGGED_SSE: Final = b"event: lagged\ndata: {}\n\n"

#: An item in a watcher's buffer: a notice, or `LAGGED`.
WatchItem = Notice | Literal[Lagged.LAGGED]

#: What a watcher of batches and nodes takes.
FleetWatchItem = AnyNotice | Literal[Lagged.LAGGED]


def encoded(items: Sequence[FleetWatchItem]) -> bytes:
    """Return all of *items* as one buffer of server-sent events; of a notice alone it is the same for all who ask."""
    if len(items) == 1 and items[0] is not LAGGED:
        return items[0].sse
    return b"".join(LAGGED_SSE if item is LAGGED else item.sse for item in items)
