"""The outbox: which ends, and what before them, are to be told outside the fleet, and when.

A job or batch whose record has a `hook` comes to stand in it in the step that ends it, so no end is left untold,
whoever dies. The record says what is to be told; the outbox only that it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from producer.store.scripts import Scripts
from producer.store.times import to_ms

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True)
class DueEnd:
    """An end that is to be told, or what happened before it.

    Args:
        kind: `job`, `batch` or `node`.
        id: of the job or batch; its record may have expired meanwhile. Of a node: what is told of it, JSON.
        due_again_ms: when somebody else may take it, Unix ms by Redis' clock.
        event: the type of what happened before the end, as `job.started`; empty: it is the end.
    """

    kind: str
    id: str
    due_again_ms: int
    event: str = ""

    @classmethod
    def read(cls, entry: str, due_again_ms: int) -> DueEnd:
        """Read how it stands in the outbox."""
        kind, _, about = entry.partition(":")
        event = ""
        if kind == "event":
            event, _, about = about.partition(":")
            kind = event.partition(".")[0]
        return cls(kind, about, due_again_ms, event)

    @property
    def entry(self) -> str:
        """How it stands in the outbox."""
        return f"event:{self.event}:{self.id}" if self.event else f"{self.kind}:{self.id}"


class Outbox:
    """Takes from the outbox what is due, and writes down what has come of it.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, *, scripts: Scripts | None = None) -> None:
        self._scripts = scripts or Scripts(redis)

    def take_due(self, *, limit: int, within: timedelta) -> Sequence[DueEnd]:
        """Take up to *limit* ends that are due, what has waited longest first.

        Args:
            within: after so long they are due again, unless `done` or `later` was called before: a sender
                that dies leaves nothing untold, and may tell a thing twice.
        """
        reply: list[tuple[str, str]] = self._scripts.run("outbox_take", args=[limit, to_ms(within)])
        return [DueEnd.read(entry, int(again)) for entry, again in reply]

    def done(self, end: DueEnd) -> bool:
        """Note that an end is told, or that nobody wants to hear it any more.

        Returns:
            Whether it was still the caller's: it is not if it took too long, or the batch has ended anew.
        """
        return self._settle(end, "")

    def later(self, end: DueEnd, *, wait: timedelta) -> bool:
        """Have an end taken again after *wait*; return as `done`."""
        return self._settle(end, to_ms(wait))

    def _settle(self, end: DueEnd, wait_ms: int | str) -> bool:
        settled = self._scripts.run("outbox_settle", args=[end.entry, end.due_again_ms, wait_ms])
        return bool(settled)
