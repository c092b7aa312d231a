"""Pipe: the events of some topics, written to a connection of an event loop as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from producer.events.buffers import Buffer
from producer.events.loop_fanout import LoopFanout
from producer.events.notices import LAGGED_SSE, AnyNotice, encoded

#: Bytes buffered for one client; beyond them events are dropped, and it is sent `lagged`.
_BEHIND: Final = 256 * 1024


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
