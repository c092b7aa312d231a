"""How much a worker takes: one job that renders, and one more when that is about to end.

The next prompt should lie in the node's own queue before the present one ends, so that the
graphics card never waits for the network. But a job that lies there early is hidden from nodes
that could start it at once. So it is taken only within seconds of the end, and only while a
message really waits: then no idle node has wanted it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

from worker.scheduling.render_times import RenderTimes

#: A message becomes a task within milliseconds. One that has not by then was none of ours, s.
_ARRIVES_WITHIN_S: Final = 5.0
#: How long before the end of a render the next job is taken, s, if it is as quick as usual.
_SOON_S: Final = 2.0
#: The same for jobs whose inputs take long to bring: so many turnarounds.
_SOON_TURNAROUNDS: Final = 3.0
#: How long the word holds that a message waits, s. kombu pops it at once, or another node has.
_WORD_HOLDS_S: Final = 0.2


class Slot:
    """One job's use of the graphics card: taken, posted, its turn, released."""

    def __init__(self, gate: Gate, taken_at: float) -> None:
        self._gate = gate
        self._taken_at = taken_at
        self.think_again: Callable[[], None] = lambda: None
        self.template: str | None = None
        self.done = 0.0  #: Which part of its graph is done, 0 to 1.
        self.turn_at: float | None = None  #: When the card became its own; None before that.

    @property
    def is_next(self) -> bool:
        """Whether no other prompt of ours would go before this one."""
        return self._gate.is_line_empty

    def posted(self, template: str, *, on_change: Callable[[], None]) -> None:
        """Hear that the prompt lies in the node's queue.

        Args:
            on_change: called when the card is its own, and when it is time to think again
                whether to wait for it; it must not block.
        """
        self.template = template
        self.think_again = on_change
        self._gate.line_up(self, since=self._taken_at)

    def comes_to(self, done: float) -> None:
        """Hear how far the graph is, 0 to 1."""
        self.done = done
        self._gate.reconsider()

    def begins(self) -> None:
        """Hear that the node executes the prompt, whatever its place was thought to be."""
        self._gate.to_the_front(self)

    def release(self, *, rendered: bool = False) -> None:
        """Let the next one have the card: this job needs it no more. Twice is harmless.

        Args:
            rendered: whether all of a render was seen, so that its length tells something.
        """
        if rendered and self.template and self.turn_at:
            self._gate.render_times.rendered(self.template, time.monotonic() - self.turn_at)
        self._gate.release(self)

    def take_turn(self) -> None:
        """Hear from the gate that the card is its own now."""
        self.turn_at = time.monotonic()
        self.think_again()


class Gate:
    """Opens while the worker should take another job."""

    def __init__(
        self,
        render_times: RenderTimes | None = None,
        *,
        arrives_within_s: float = _ARRIVES_WITHIN_S,
    ) -> None:
        self.render_times = render_times or RenderTimes()
        self.is_ready = False  #: Whether the node can take work at all.
        self.asked_at = time.monotonic()  #: When kombu last asked whether to take a message.
        self._arrives_within_s = arrives_within_s
        self._lock = Lock()
        self._arriving: list[float] = []
        self._slots: list[Slot] = []
        self._line: list[Slot] = []  #: Those in the node's queue; the first one renders.
        self._waits_until = 0.0
        self._on_open: Callable[[], None] = lambda: None
        self._on_news: Callable[[], None] = lambda: None

    def on_open(self, wake: Callable[[], None]) -> None:
        """Have *wake* called whenever the gate may have opened: nothing else tells kombu."""
        self._on_open = wake

    def on_news(self, wake: Callable[[], None]) -> None:
        """Have *wake* called when it may have become worth while to look for a message."""
        self._on_news = wake

    def set_ready(self, *, ready: bool) -> None:
        """Say whether the node can take work at all."""
        with self._lock:
            self.is_ready = ready
            waiting = self._line[1:]
        for slot in waiting:
            slot.think_again()
        self._changed()

    def is_open(self) -> bool:
        """Tell whether to take another job."""
        self.asked_at = now = time.monotonic()
        with self._lock:
            if not self.is_ready or self._arrives(now):
                return False
            return not self._slots or (now < self._waits_until and self._looks_ahead(now))

    @property
    def is_idle(self) -> bool:
        """Whether the node waits for work."""
        with self._lock:
            return self.is_ready and not self._slots and not self._arrives(time.monotonic())

    @property
    def is_line_empty(self) -> bool:
        """Whether no prompt of ours lies in the node's queue."""
        return not self._line

    def pause_before_scouting_s(self) -> float | None:
        """Return after how long to look whether a message waits; None: not before there is news."""
        now = time.monotonic()
        with self._lock:
            if not self.is_ready or self._arrives(now) or not self._has_room():
                return None
            remaining_s = self._remaining_s(now)
            return None if remaining_s is None else max(0.0, remaining_s - self._soon_s)

    def message_waits(self) -> None:
        """Hear that a message waits, which thus no idle node has wanted."""
        with self._lock:
            self._waits_until = time.monotonic() + _WORD_HOLDS_S
        self._on_open()

    def expect(self) -> None:
        """Hear that a message was taken; its task will begin in a moment."""
        with self._lock:
            self._arriving.append(time.monotonic())
            self._waits_until = 0.0
        self._on_news()

    def on_message_passed_over(self) -> None:
        """Wait no longer for the task of a message that was none."""
        with self._lock:
            del self._arriving[:1]
        self._on_open()

    def begin(self) -> Slot:
        """Count a job that begins now, whether it was expected or not."""
        with self._lock:
            taken_at = self._arriving.pop(0) if self._arriving else time.monotonic()
            slot = Slot(self, taken_at)
            self._slots.append(slot)
        return slot

    def line_up(self, slot: Slot, *, since: float) -> None:
        """Put a job at the end of the line, as its prompt is at the end of the node's queue."""
        with self._lock:
            if slot not in self._slots:  # its job was ended while its post was under way
                return
            self._line.append(slot)
            is_first = self._line[0] is slot
        self.render_times.turned_round(time.monotonic() - since)
        if is_first:
            slot.take_turn()
        self._changed()

    def to_the_front(self, slot: Slot) -> None:
        """Put a job to the front of the line: the node executes it."""
        with self._lock:
            if slot not in self._line or self._line[0] is slot:
                return
            self._line.remove(slot)
            self._line.insert(0, slot)
        slot.take_turn()
        self._changed()

    def release(self, slot: Slot) -> None:
        """Count one job less, and let the next in line have the card."""
        with self._lock:
            if slot not in self._slots:
                return
            self._slots.remove(slot)
            was_first = bool(self._line) and self._line[0] is slot
            if slot in self._line:
                self._line.remove(slot)
            successor = self._line[0] if was_first and self._line else None
        if successor:
            successor.take_turn()
        self._changed()

    def reconsider(self) -> None:
        """Think again whether the end is near."""
        self._on_news()

    def remaining_s(self) -> float | None:
        """Return how long the prompt that renders has still to go; None if nobody can tell."""
        with self._lock:
            return self._first_remaining_s(time.monotonic())

    def _changed(self) -> None:
        self._on_open()
        self._on_news()

    def _arrives(self, now: float) -> bool:
        oldest = now - self._arrives_within_s
        self._arriving = [taken for taken in self._arriving if taken > oldest]
        return bool(self._arriving)

    def _looks_ahead(self, now: float) -> bool:
        remaining_s = self._remaining_s(now) if self._has_room() else None
        return remaining_s is not None and remaining_s <= self._soon_s

    def _has_room(self) -> bool:
        # One that is still being prepared comes first: there is no telling how long that takes.
        return len(self._slots) == len(self._line) and 0 < len(self._line) < self.render_times.depth

    @property
    def _soon_s(self) -> float:
        return max(_SOON_S, _SOON_TURNAROUNDS * (self.render_times.turnaround_s or 0.0))

    def _remaining_s(self, now: float) -> float | None:
        """Return how long until the card would have nothing to do; None if nobody can tell."""
        total_s = self._first_remaining_s(now)
        for slot in self._line[1:]:
            usual_s = self.render_times.expected_s(slot.template)
            if total_s is None or usual_s is None:
                return None
            total_s += usual_s
        return total_s

    def _first_remaining_s(self, now: float) -> float | None:
        if not self._line:
            return None
        first = self._line[0]
        ran_s = now - (first.turn_at or now)
        return self.render_times.remaining_s(first.template, ran_s=ran_s, done=first.done)


#: kombu makes the queue order itself, from its import path, so the two meet here.
GATE: Final = Gate()
