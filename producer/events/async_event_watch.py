"""Async EventWatch, for asyncio: the reader makes one call per event loop, however many watch on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self

from producer.events.buffers import Buffer
from producer.events.notices import (
    LAGGED,
    LAGGED_SSE,
    AnyNotice,
    FleetNotice,
    FleetWatchItem,
    WatchItem,
    encoded,
)
from producer.events.subscribers import EventReader, Subscribers, Watcher

#: Bytes buffered for one client; beyond them events are dropped, and it is sent `lagged`.
_BEHIND: Final = 256 * 1024


#: Runs a call in a thread, and returns what it returns.
InThread = Callable[[Callable[[], str]], Coroutine[Any, Any, str]]


class LoopFanout:
    """The watchers of one event loop. Only `offer`, `lag` and `close` may be called by other threads."""

    def __init__(self, fanout: EventReader, run: InThread = asyncio.to_thread) -> None:
        self._fanout = fanout
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._subscribers = Subscribers()
        self._inbox = Buffer(self._wake)
        self._is_woken = False

    @property
    def is_over(self) -> bool:
        """Whether its loop is closed, so that it can deliver no more."""
        return self._loop.is_closed()

    @property
    def position(self) -> str:
        """The id in the stream up to which the process's reader has delivered, perhaps not yet taken here."""
        return self._fanout.position

    def watchers(self, topic: str) -> int:
        """Return the number of this loop's watchers of a topic."""
        return self._subscribers.count(topic)

    def close(self) -> None:
        """Unsubscribe all topics; any thread may call it once the loop is closed."""
        self._fanout.remove(self, self._subscribers.topics)

    def offer(self, notices: Sequence[AnyNotice]) -> None:
        """Buffer notices and wake the loop; the reader calls it, in its own thread."""
        self._inbox.offer(notices)

    def lag(self) -> None:
        """Note that events are missing, and wake the loop; called by the reader's thread."""
        self._inbox.lag()

    async def add(self, watcher: Watcher, topics: Sequence[str]) -> str:
        """Subscribe *watcher* to these topics; see `Fanout.add`.

        A few events before the returned id may have been delivered already; none of them comes later.
        """
        self._subscribers.add(watcher, topics)
        adding = asyncio.ensure_future(self._run(partial(self._fanout.add, self, topics)))
        try:
            return await asyncio.shield(adding)
        except BaseException:
            # Cancelled or failed: unsubscribe only once the thread has finished subscribing.
            adding.add_done_callback(lambda _: self.remove(watcher, topics))
            raise

    def remove(self, watcher: Watcher, topics: Sequence[str]) -> None:
        """Unsubscribe *watcher* from these topics."""
        if unwatched := self._subscribers.remove(watcher, topics):
            self._fanout.remove(self, unwatched)

    def _wake(self) -> None:
        if not self._is_woken:
            self._is_woken = True
            # The loop may be closed by its own thread at any time.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._is_woken = False  # first: what comes from here on wakes us again
        notices: list[AnyNotice] = []
        for item in self._inbox.take():
            if item is LAGGED:
                self._subscribers.lag_all()
            else:
                notices.append(item)
        if notices:
            self._subscribers.deliver(notices)


class LoopFanouts:
    """One `LoopFanout` for each event loop that watches. Thread-safe.

    Args:
        source: returns the process's reader of events.
        run: runs a call in a thread.
    """

    def __init__(
        self, source: Callable[[], EventReader], run: InThread = asyncio.to_thread
    ) -> None:
        self._source = source
        self._run = run
        self._lock = Lock()
        self._by_loop: dict[asyncio.AbstractEventLoop, LoopFanout] = {}

    def of_running_loop(self) -> LoopFanout:
        """Return the `LoopFanout` of this thread's running loop; drop those of closed loops."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._by_loop:
                self._forget_closed_loops()
                self._by_loop[loop] = LoopFanout(self._source(), self._run)
            return self._by_loop[loop]

    def _forget_closed_loops(self) -> None:
        for loop, ended in list(self._by_loop.items()):
            if ended.is_over:
                del self._by_loop[loop]
                ended.close()


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


class Pipe:
    """Writes the events of some topics to a connection, as server-sent events.

    Events since `open` are buffered until `flow`, so that the server can first send the state in the
    records. From then on the bytes, encoded once for all watchers, are written to the transport
    directly, which makes a thousand watchers cheap.

    Args:
        topics: as of `AsyncFleetWatch`.
    """

    def __init__(
        self, fanout: LoopFanout, topics: Iterable[str], transport: asyncio.WriteTransport
    ) -> None:
        self._fanout = fanout
        self._topics = tuple(topics)
        self._transport = transport
        self._held: Buffer | None = Buffer(lambda: None)
        self._is_behind = False

    async def open(self) -> str:
        """Subscribe; return the id in the event stream after which every event is delivered."""
        since = await self._fanout.add(self, self._topics)
        if self._held:
            self._held.forget_until(since)
        return since

    def flow(self) -> None:
        """Write the events buffered since `open`, and from now on each event as it comes."""
        held, self._held = self._held, None
        if held and (missed := held.take()):
            self._transport.write(encoded(missed))

    def close(self) -> None:
        """Unsubscribe: call it when the connection is lost; a second call does nothing."""
        self._fanout.remove(self, self._topics)

    def offer(self, notices: Sequence[AnyNotice]) -> None:
        """Write notices, or drop them while the client is more than 256 KiB behind."""
        if self._held:
            self._held.offer(notices)
        elif self._transport.get_write_buffer_size() > _BEHIND:
            # `lagged` is written after the bytes that the client has yet to read. While those are too
            # many nothing is written, so all dropped events happened before the client reads it.
            if not self._is_behind:
                self.lag()
            self._is_behind = True
        else:
            self._is_behind = False
            self._transport.write(encoded(notices))

    def lag(self) -> None:
        """Write `lagged`: events are missing."""
        if self._held:
            self._held.lag()
        else:
            self._transport.write(LAGGED_SSE)
