"""Fan-out of events to the watchers on event loops: the reader makes one call per event loop, however many watch on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import Any

from producer.events.buffers import Buffer
from producer.events.notices import LAGGED, AnyNotice
from producer.events.subscribers import EventReader, Subscribers, Watcher

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
