"""Watches for asyncio: the events of some jobs, or of batches and nodes as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from producer.events.buffers import Buffer
from producer.events.loop_fanout import LoopFanout
from producer.events.notices import AnyNotice, FleetNotice, FleetWatchItem, WatchItem


class _AsyncSubscription:
    """A subscription to the events of some topics, for the length of an `async with` block."""

    since: str  #: The id in the event stream after which every event is delivered.

    def __init__(self, fanout: LoopFanout, topics: Iterable[str]) -> None:
        self._fanout = fanout
        self._topics = tuple(topics)
        self._filled = asyncio.Event()
        self._buffer = Buffer(self._filled.set)

    async def __aenter__(self) -> Self:
        """Subscribe.

        Raises:
            FleetUnreachable: Redis cannot be read now; later outages are waited for.
        """
        self.since = await self._fanout.add(self._buffer, self._topics)
        self._buffer.forget_until(self.since)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Unsubscribe."""
        self._fanout.remove(self._buffer, self._topics)

    async def _taken(self, wait: timedelta | None) -> list[FleetWatchItem]:
        if wait is None:
            await self._filled.wait()
        else:
            alarm = asyncio.get_running_loop().call_later(wait.total_seconds(), self._filled.set)
            try:
                await self._filled.wait()
            finally:
                alarm.cancel()
        self._filled.clear()
        return self._buffer.take()


class AsyncEventWatch(_AsyncSubscription):
    """A subscription to the events of jobs, for the length of an `async with` block.

    Args:
        topics: job ids, batch ids for the jobs of a batch, or `EVERYTHING`.
    """

    async def take(self, *, wait: timedelta | None = None) -> list[WatchItem]:
        """Return what was delivered since the last call, in order; wait for it, at most *wait*.

        Returns:
            Notices, and `LAGGED` in place of those that were dropped or lost: then read the records.
        """
        return [item for item in await self._taken(wait) if not isinstance(item, FleetNotice)]


class AsyncFleetWatch(_AsyncSubscription):
    """A subscription to the events of batches and nodes, and of jobs as well.

    Args:
        topics: `batch:ID` and `node:NAME`, `BATCHES` and `NODES`; and those of `AsyncEventWatch`.
    """

    async def take(self, *, wait: timedelta | None = None) -> list[FleetWatchItem]:
        """Return what was delivered, as `AsyncEventWatch.take` does."""
        return await self._taken(wait)

    def pass_by(self, passing: Callable[[Sequence[AnyNotice]], bool]) -> None:
        """Have notices offered to a function first, on the event loop, while none waits to be taken.

        Args:
            passing: tells whether it has taken them. Waking a task for each costs ten times as much.
        """
        self._buffer.passing = passing
