"""Batch feeder: moves rows of batches to the queues, keeping a bounded number there (the window).

Batches whose rows wait for the same nodes take turns, a few rows each, so that a batch of ten
progresses beside one of a million. Even while a queue is full, each batch may have a few rows in it,
so that a late one starts.

It may be killed at any point. A row's job id contains its number in the batch, so feeding a row again
has no effect; and a job whose message was not sent is found by the sweep for unsent jobs.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from producer.contract.ids import JobId
from producer.contract.submissions import Submission
from producer.store.batch_feeds import BatchFeeds, Place
from producer.store.batch_records import BatchRecord, queue_of
from producer.upkeep.fault_isolation import stopping_no_other

_log = logging.getLogger(__name__)

_CANNOT_FEED: Final = "batch %s cannot be fed"

#: Waiting jobs in a place (queue and priority) up to which rows are fed: so many, or if that is more,
#: so many for each living node.
WINDOW: Final = 200
WINDOW_A_NODE: Final = 20
#: Jobs that a batch may have in the queue however full that is.
FOOTHOLD: Final = 10
#: Rows fed at a time: few if batches take turns; if alone, as many as a script does in 3 ms.
_IN_TURN: Final = 5
_ALONE: Final = 50
#: Characters of texts in rows fed at a time, as rows may hold whole pictures.
_CHARACTERS: Final = 250_000
#: Jobs fed in one sweep, and rows passed, skipped ones included: other steps should not wait long.
_A_SWEEP: Final = 500
_PASSED_A_SWEEP: Final = 50_000


@dataclass
class _Turn:
    """One batch with rows to feed: its record, its jobs in the queue, its places, its next rows."""

    record: BatchRecord
    queued: int
    places: frozenset[Place]
    rows: list[Submission | None] = field(default_factory=list)


class Feeder:
    """Moves rows from batches to the queues, as far as there is room.

    Args:
        wake: sends the first message for each of these jobs.
        resend: sends messages for jobs that may have had one before.
    """

    def __init__(
        self,
        feeds: BatchFeeds,
        *,
        wake: Callable[[Sequence[Submission]], None],
        resend: Callable[[list[JobId]], None],
    ) -> None:
        self._feeds = feeds
        self._wake = wake
        self._resend = resend

    def feed(self) -> None:
        """Carry out requested cancels, holds and releases of batches, then fill the queues, once."""
        turns = []
        for record in self._feeds.in_turn():
            with stopping_no_other(_log, _CANNOT_FEED, record.id):
                if record.is_held or record.moving:
                    self._resend(self._feeds.move_live(record))
                if record.number("waiting") and not record.is_held:
                    turns.append(_Turn(record, record.number("queued"), _places(record)))
        if turns:
            self._fill(turns)

    def _fill(self, turns: Sequence[_Turn]) -> None:
        window = max(WINDOW, WINDOW_A_NODE * self._feeds.living_nodes())
        waiting = self._feeds.waiting_in({place for turn in turns for place in turn.places})
        room = {place: window - count for place, count in waiting.items()}
        fed: list[Submission] = []
        try:
            queue, passed = deque(turns), 0
            while queue and len(fed) < _A_SWEEP and passed < _PASSED_A_SWEEP:
                turn = queue.popleft()
                with stopping_no_other(_log, _CANNOT_FEED, turn.record.id):
                    rows, made = self._take_turn(turn, room, _IN_TURN if queue else _ALONE)
                    fed += made
                    passed += rows
                    if rows:
                        queue.append(turn)
        finally:
            if fed:
                self._wake(fed)

    def _take_turn(
        self, turn: _Turn, room: dict[Place, int], share: int
    ) -> tuple[int, list[Submission]]:
        """Feed up to *share* jobs of one batch; return the number of rows passed, and the jobs."""
        rows = self._next_rows(turn, room, share)
        ready = self._feeds.feed(turn.record, rows) if rows else None
        if ready is None:
            return 0, []
        queued = set(ready)
        made = [row for row in rows if row and row.id in queued]
        for row in made:
            room[_place(row)] -= 1
        turn.queued += len(made)
        turn.rows = turn.rows[len(rows) :]
        fields = {**turn.record.fields, "fed": str(turn.record.fed + len(rows))}
        turn.record = replace(turn.record, fields=fields)
        return len(rows), made

    def _next_rows(
        self, turn: _Turn, room: Mapping[Place, int], share: int
    ) -> list[Submission | None]:
        """Return the next rows for which there is room, in order without gaps; None for skipped ones."""
        if not turn.rows:
            turn.rows = self._feeds.next_rows(turn.record)
        taken: list[Submission | None] = []
        left = dict(room)
        foothold = FOOTHOLD - turn.queued
        characters = 0
        for row in turn.rows:
            if row is not None:
                characters += _length(row)
                is_full = len(taken) >= share or (taken and characters > _CHARACTERS)
                if is_full or (left[_place(row)] <= 0 and foothold <= 0):
                    break
                left[_place(row)] -= 1
                foothold -= 1
            taken.append(row)
        return taken


def _length(row: Submission) -> int:
    """Return the characters of a row's texts, about its size."""
    return sum(len(value) for value in row.params.values() if isinstance(value, str))


def _place(row: Submission) -> Place:
    return row.queue, row.tier.priority


def _places(record: BatchRecord) -> frozenset[Place]:
    """Return every place for rows of a batch."""
    spec = record.spec
    return frozenset((queue_of(needs, spec), spec.tier.priority) for needs in record.places)
