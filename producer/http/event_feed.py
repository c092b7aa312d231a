"""A feed of events: the present state first, then every change in order and without a gap, as bytes to be sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from producer.aio import AsyncProducer
from producer.contract.errors import FleetError, FleetUnreachable
from producer.contract.fleet_events import BatchEvent, FleetEvent
from producer.contract.ids import event_order
from producer.contract.jobs import JobEvent, JobStatus
from producer.events.async_event_watch import AsyncFleetWatch
from producer.events.notices import LAGGED, AnyNotice, Notice, encoded, sse_of

#: How often a comment is sent where nothing happens, so that proxies and clients know that it lives.
_ALIVE_EVERY: Final = timedelta(seconds=15)
#: How often records are read of which no event may tell: rows that have none yet.
_RECHECK_EVERY: Final = timedelta(seconds=5)
#: How soon a client shall connect again, ms.
_BEGIN: Final = b"retry: 2000\n\n"
_RESET: Final = b"event: reset\ndata: {}\n\n"


class Present(NamedTuple):
    """What a feed is about, as it is now.

    Args:
        events: the states, as events of the type `snapshot`.
        open: jobs and batches of which more will come; a feed that ends does so when none is left.
        unfed: of these, rows without a record: they may end without an event.
    """

    events: Sequence[JobEvent | FleetEvent]
    open: frozenset[str] = frozenset()
    unfed: frozenset[str] = frozenset()


#: Returns what a feed is about, with the stream's position that its snapshots carry.
Presenter = Callable[[str], Awaitable[Present]]


class EventFeed:
    """The events of some topics.

    Where events were missed (since the last connection, or because the client was too slow), they are read from
    the stream. Where that holds them no more, the feed says `reset`, and shows the present state anew.

    Args:
        topics: of `Producer.watch_fleet`.
        present: reads what the feed is about.
        is_endless: whether it goes on when nothing of what it is about is open.
    """

    def __init__(
        self,
        fleet: AsyncProducer,
        topics: Collection[str],
        present: Presenter,
        *,
        is_endless: bool = False,
    ) -> None:
        self._fleet = fleet
        self._topics = tuple(topics)
        self._present = present
        self._is_endless = is_endless
        self._position = ""  #: The id after which notices are told.
        self._order = (0, 0)  #: The same as ids are sorted.
        #: The reader's position at the last sign of life: all before has come through.
        self._seen = ""
        self._state = Present([])
        self._open: set[str] = set()
        self.running: set[str] = set()  #: The jobs that run, by what was told of them.
        #: Writes bytes at once, or tells that the client does not keep up.
        self.write: Callable[[bytes], bool] | None = None
        self._is_waiting = False  #: For notices: all before has been sent.

    async def is_over(self, after: str) -> bool:
        """Tell whether nothing has come after an event's id, and nothing will."""
        if self._is_endless or (await self._present(after)).open:
            return False
        missed = await self._fleet.missed(*self._topics, after=after)
        return missed is not None and missed.is_end and not missed.notices

    async def frames(self, after: str | None) -> AsyncGenerator[bytes]:
        """Yield what is to be sent, until all is over.

        Args:
            after: the id of the last event that the client has seen.

        Raises:
            FleetUnreachable: Redis cannot be read at the beginning.
        """
        async with self._fleet.watch_fleet(*self._topics) as watch:
            yield _BEGIN
            watch.pass_by(self._has_written)
            self._go_to(watch.since)
            self._seen = watch.since
            is_behind = False
            if after and await self._fleet.missed(*self._topics, after=after) is None:
                yield _RESET
            elif after:
                self._go_to(after)
                is_behind = True
            # What it goes on after is said at once, also where there is no state to show.
            yield await self._snapshot() + (b"" if is_behind else _mark(self._position))
            while is_behind or self._is_endless or self._open:
                if is_behind:
                    told, is_behind = await self._caught_up()
                else:
                    told, is_behind = await self._taken(watch)
                if told:
                    yield told

    async def _snapshot(self) -> bytes:
        self._state = await self._present(self._position)
        self._open = set(self._state.open)
        self._note_running(self._state.events)
        return b"".join(map(sse_of, self._state.events))

    async def _caught_up(self) -> tuple[bytes, bool]:
        """Return a part of what was missed, and whether there is more."""
        try:
            missed = await self._fleet.missed(*self._topics, after=self._position)
            if missed is None:
                self._go_to(await self._fleet.position())
                return _RESET + await self._snapshot(), False
        except FleetUnreachable:
            return await self._after_outage(), True
        told = self._told(missed.notices)
        self._go_to(missed.position)
        # By this a client knows that it has all that it missed.
        return told + (_mark(missed.position) if missed.is_end else b""), not missed.is_end

    async def _after_outage(self) -> bytes:
        await asyncio.sleep(_RECHECK_EVERY.total_seconds())
        return b":\n\n"

    async def _taken(self, watch: AsyncFleetWatch) -> tuple[bytes, bool]:
        wait = _RECHECK_EVERY if self._state.unfed & self._open else _ALIVE_EVERY
        self._is_waiting = True
        try:
            items = await watch.take(wait=wait)
        finally:
            self._is_waiting = False
        if LAGGED in items:
            return b"", True
        if items:
            return self._told(self._fresh([i for i in items if i is not LAGGED])), False
        return await self._rechecked() + self._alive(), False

    def _has_written(self, notices: Sequence[AnyNotice]) -> bool:
        """Write notices as they come, if the feed only waits for them and the client keeps up.

        What may end the feed is left to it.
        """
        if not (self._is_waiting and self.write):
            return False
        if not self._is_endless and any(map(_may_end, notices)):
            return False
        fresh = self._fresh(notices)
        if fresh and not self.write(encoded(fresh)):
            return False
        self._note(fresh)
        return True

    def _fresh(self, notices: Sequence[AnyNotice]) -> Sequence[AnyNotice]:
        """Return those after the feed's position; they are in order, so mostly all are."""
        if notices and notices[0].order > self._order:
            return notices
        return [notice for notice in notices if notice.order > self._order]

    def _told(self, notices: Sequence[AnyNotice]) -> bytes:
        self._note(notices)
        return encoded(notices)

    def _note(self, notices: Sequence[AnyNotice]) -> None:
        for notice in notices:
            if isinstance(notice, Notice):
                job = notice.event.job
                (self.running.add if notice.runs else self.running.discard)(job)
                if notice.has_ended:
                    self._open.discard(job)
            elif isinstance(event := notice.event, BatchEvent):
                ends = event.type in {"finished", "cancelled"} and not _is_live(event)
                (self._open.discard if ends else self._open.add)(event.batch)
        if notices:
            self._position, self._order = notices[-1].event.id, notices[-1].order

    def _go_to(self, position: str) -> None:
        self._position, self._order = position, event_order(position)

    def _note_running(self, events: Sequence[JobEvent | FleetEvent]) -> None:
        for event in events:
            if isinstance(event, JobEvent):
                runs = event.status is JobStatus.RUNNING
                (self.running.add if runs else self.running.discard)(event.job)

    def _alive(self) -> bytes:
        """Return a comment; with an id, where the client need not look at what lies before it.

        It is the reader's position of the time before: all up to there has come through since.
        """
        seen, self._seen = self._seen, self._fleet.fanout.position
        if event_order(seen) <= self._order:
            return b":\n\n"
        self._go_to(seen)
        return b":\n" + _mark(seen)

    async def _rechecked(self) -> bytes:
        if not self._state.unfed & self._open:
            return b""
        try:
            state = await self._present(self._position)
        except FleetError:
            return b""
        closed = self._open - state.open
        self._open -= closed
        self._state = state
        self._note_running(state.events)
        ended = [e for e in state.events if isinstance(e, JobEvent) and e.job in closed]
        return b"".join(map(sse_of, ended))


def _mark(position: str) -> bytes:
    """Return an event that has an id alone: a browser goes on after it, and tells nobody of it."""
    return f"id: {position}\n\n".encode()


def _may_end(notice: AnyNotice) -> bool:
    if isinstance(notice, Notice):
        return notice.has_ended
    return isinstance(notice.event, BatchEvent)


def _is_live(event: BatchEvent) -> bool:
    counts = event.counts
    return bool(counts.waiting + counts.held + counts.queued + counts.running)
