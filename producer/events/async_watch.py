"""Watching from an event loop: a thousand watchers cost the reader one call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from threading import Lock
from types import TracebackType
from typing import Final, Self

from producer.contract.config.settings import Settings
from producer.events.buffers import Buffer
from producer.events.notices import LAGGED, LAGGED_SSE, Notice, Told, encoded
from producer.events.reader import Fanout, fanout_of
from producer.events.subscribers import Subscribers, Watcher

#: Bytes that a client may be behind before it is told to read the record.
_BEHIND: Final = 256 * 1024


class LoopFanout:
    """The watchers of one event loop. Only its loop may call it, but for what the reader calls."""

    def __init__(self, fanout: Fanout) -> None:
        self._fanout = fanout
        self._loop = asyncio.get_running_loop()
        self._subscribers = Subscribers()
        self._inbox = Buffer(self._wake)
        self._is_woken = False

    @property
    def is_over(self) -> bool:
        """Whether its loop has been closed, so that it can tell nobody any more."""
        return self._loop.is_closed()

    def close(self) -> None:
        """Tell nobody any more; any thread may call it once the loop is closed."""
        self._fanout.remove(self, self._subscribers.topics)

    def offer(self, notices: Sequence[Notice]) -> None:
        """Hear from the reader, in its thread."""
        self._inbox.offer(notices)

    def lag(self) -> None:
        """Hear from the reader, in its thread, that events are missing."""
        self._inbox.lag()

    async def add(self, watcher: Watcher, topics: Sequence[str]) -> str:
        """Tell *watcher* of these topics from now on; see `Fanout.add`.

        It may have been told a few events from before the id that is returned; none comes later.
        """
        self._subscribers.add(watcher, topics)
        adding = asyncio.ensure_future(asyncio.to_thread(self._fanout.add, self, topics))
        try:
            return await asyncio.shield(adding)
        except BaseException:
            # Cancelled or failed: not before the thread is done, or it would add what is gone.
            adding.add_done_callback(lambda _: self.remove(watcher, topics))
            raise

    def remove(self, watcher: Watcher, topics: Sequence[str]) -> None:
        """Tell *watcher* of these topics no more."""
        if unwatched := self._subscribers.remove(watcher, topics):
            self._fanout.remove(self, unwatched)

    def _wake(self) -> None:
        if not self._is_woken:
            self._is_woken = True
            # A loop may be closed under its watchers, between any two lines of this thread.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._is_woken = False  # first: what comes from here on wakes us again
        notices: list[Notice] = []
        for told in self._inbox.take():
            if told is LAGGED:
                self._subscribers.lag_all()
            else:
                notices.append(told)
        if notices:
            self._subscribers.tell(notices)


class LoopFanouts:
    """One `LoopFanout` for each event loop that watches; any thread may ask."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._by_loop: dict[asyncio.AbstractEventLoop, LoopFanout] = {}

    def of_running_loop(self) -> LoopFanout:
        """Return that of the loop which runs in this thread, and let go of those that are over."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._by_loop:
                self._forget_closed_loops()
                self._by_loop[loop] = LoopFanout(fanout_of(self._settings))
            return self._by_loop[loop]

    def _forget_closed_loops(self) -> None:
        for loop, ended in list(self._by_loop.items()):
            if ended.is_over:
                del self._by_loop[loop]
                ended.close()


class AsyncWatch:
    """What is told of some topics, for the length of an `async with` block.

    Args:
        topics: job ids, batch ids, or `EVERYTHING`.
    """

    since: str  #: The stream's id after which everything is told.

    def __init__(self, fanout: LoopFanout, topics: Iterable[str]) -> None:
        self._fanout = fanout
        self._topics = tuple(topics)
        self._news = asyncio.Event()
        self._buffer = Buffer(self._news.set)

    async def __aenter__(self) -> Self:
        """Begin.

        Raises:
            FleetUnreachable: Redis cannot be read. Later on that is waited for.
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
        """End."""
        self._fanout.remove(self._buffer, self._topics)

    async def take(self, *, wait: timedelta | None = None) -> list[Told]:
        """Return what has come since the last time; wait for it, up to *wait* if that is given."""
        if wait is None:
            await self._news.wait()
        else:
            alarm = asyncio.get_running_loop().call_later(wait.total_seconds(), self._news.set)
            try:
                await self._news.wait()
            finally:
                alarm.cancel()
        self._news.clear()
        return self._buffer.take()


class Pipe:
    """Writes what is told of some topics to a connection, as server-sent events.

    What has happened since `open` is kept until `flow`, so that whoever serves can send first
    what the record says. From then on the one buffer that all watchers share is handed to the
    transport, with nothing in between: that is what makes a thousand of them cheap.

    Args:
        topics: job ids, batch ids, or `EVERYTHING`.
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
        """Begin to listen; return the stream's id after which everything is told."""
        since = await self._fanout.add(self, self._topics)
        if self._held:
            self._held.forget_until(since)
        return since

    def flow(self) -> None:
        """Write what came since `open`, and from now on whatever comes."""
        held, self._held = self._held, None
        if held and (missed := held.take()):
            self._transport.write(encoded(missed))

    def close(self) -> None:
        """Write no more; to be called when the connection is lost, and harmless twice."""
        self._fanout.remove(self, self._topics)

    def offer(self, notices: Sequence[Notice]) -> None:
        """Hear what has happened."""
        if self._held:
            self._held.offer(notices)
        elif self._transport.get_write_buffer_size() > _BEHIND:
            # The word goes behind what the client has yet to read. While that is too much nothing
            # is written, so whatever is left out happens before the client hears that it must look.
            if not self._is_behind:
                self.lag()
            self._is_behind = True
        else:
            self._is_behind = False
            self._transport.write(encoded(notices))

    def lag(self) -> None:
        """Hear that events are missing."""
        if self._held:
            self._held.lag()
        else:
            self._transport.write(LAGGED_SSE)
