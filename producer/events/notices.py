"""What watchers are told: each event decoded once and encoded once, however many watch."""

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
    """What a watcher is told in place of events that it has missed."""

    LAGGED = "lagged"


#: Read the records again: what follows is whole from there on.
LAGGED: Final = Lagged.LAGGED

#: The same for a browser.
LAGGED_SSE: Final = b"event: lagged\ndata: {}\n\n"

Told = Notice | Literal[Lagged.LAGGED]


def encoded(told: Sequence[Told]) -> bytes:
    """Return all of it as one buffer of server-sent events."""
    return b"".join(LAGGED_SSE if one is LAGGED else one.sse for one in told)
