"""The gate: open while the worker should take a job. One renders; the next is taken shortly before its end.

The next prompt should lie in the node's own queue before the present one ends, so that the graphics card never waits
for the network. But a job that lies there early is hidden from nodes that could start it at once. So it is taken only
within seconds of the end, and only while a message really waits: then no idle node has wanted it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

from worker.scheduling.card_use import CardUse
from worker.scheduling.render_times import RenderKind, RenderTimes

#: A popped message becomes a task within milliseconds; one that has not by then is not counted, s.
_ARRIVES_WITHIN_S: Final = 5.0
#: How long an observed message stays valid, s: kombu pops it at once, or another node has.
_SIGHTING_HOLDS_S: Final = 0.2


class Slot:
    """One job's use of the graphics card: taken, posted, its turn, released."""

    def __init__(self, gate: Gate, taken_at: float) -> None:
        self._gate = gate
        self._taken_at = self._waited_since = taken_at
        self.on_change: Callable[[], None] = lambda: None
        self.kind: RenderKind | None = None
        self.done = 0.0  #: Which part of its graph is done, 0 to 1.
        self._may_continue = False
        self._ran_s: float | None = None
        self.turn_at: float | None = None  #: When the card became its own; None before that.

    @property
    def is_next(self) -> bool:
        """Whether no other prompt of ours would go before this one."""
        return not self._gate.has_posted

    def on_claimed(self, *, waited_s: float) -> None:
        """Record for how long the job has waited, s, before it was taken."""
        self._waited_since = time.monotonic() - waited_s

    def on_posted(
        self, kind: RenderKind, *, on_change: Callable[[], None], may_continue: bool = False
    ) -> None:
        """Record that the prompt is in the node's queue.

        Args:
            on_change: called when the card is this job's, and when the node's readiness changed
                while it waits; it must not block.
            may_continue: whether further prompts may continue its work.
        """
        self.kind = kind
        self.on_change = on_change
        self._may_continue = may_continue
        self._gate.on_posted(self, since=self._taken_at)

    @property
    def needs_steps(self) -> bool:
        """Whether only the steps of its render tell when it ends: no render like it is known."""
        return self.kind is not None and not self._gate.render_times.is_measured(self.kind)

    def on_progress(self, done: float) -> None:
        """Record how far the graph is, 0 to 1."""
        self.done = done
        self._gate.on_progress()

    def on_executing(self) -> None:
        """Move the job to the front: the node executes its prompt, whatever order was assumed."""
        self._gate.on_executing(self)

    def on_left(self) -> bool:
        """Pass the card to the next job: the node said that the prompt is over, and well.

        Nobody has read its history yet: the next prompt must not wait for that. What may be continued
        keeps the card until it is clear that it is not.

        Returns:
            whether a prompt of ours follows at once.
        """
        if not self._may_continue and self._ran_s is None:
            self._ran_s = time.monotonic() - (self.turn_at or time.monotonic())
            self._gate.release(self)
        return self._gate.has_posted

    def release(self, *, rendered: bool = False) -> None:
        """Pass the card to the next job, if it still has it; twice is harmless.

        Args:
            rendered: whether all of a render was seen, so that its length tells something.
        """
        if rendered and self.kind and self.turn_at:
            ran_s = time.monotonic() - self.turn_at if self._ran_s is None else self._ran_s
            self._gate.render_times.on_rendered(self.kind, ran_s)
        self._gate.release(self)

    def on_turn(self) -> None:
        """Record that the card is this job's from now on."""
        if self.turn_at is None:
            self._gate.card_use.on_turn(self._waited_since)
        self.turn_at = time.monotonic()
        self.on_change()


class Gate:
    """Opens while the worker should take another job."""

    def __init__(
        self,
        render_times: RenderTimes | None = None,
        *,
        arrives_within_s: float = _ARRIVES_WITHIN_S,
    ) -> None:
        self.render_times = render_times or RenderTimes()
        self.card_use = CardUse()
        self.is_ready = False  #: Whether the node can take work at all.
        self._takes = True  #: Whether a person lets it.
        self.asked_at = time.monotonic()  #: When kombu last asked whether to take a message.
        self._arrives_within_s = arrives_within_s
        self._lock = Lock()
        self._arriving: list[float] = []
        self._slots: list[Slot] = []
        self._posted: list[Slot] = []  #: Those in the node's queue; the first one renders.
        self._seen_until = 0.0
        self._on_open: Callable[[], None] = lambda: None
        self._on_change: Callable[[], None] = lambda: None

    def set_on_open(self, wake: Callable[[], None]) -> None:
        """Have *wake* called whenever the gate may have opened: nothing else tells kombu."""
        self._on_open = wake

    def set_on_change(self, wake: Callable[[], None]) -> None:
        """Have *wake* called when a probe of the backlog may have become due."""
        self._on_change = wake

    def set_ready(self, *, ready: bool) -> None:
        """Say whether the node can take work at all."""
        with self._lock:
            self.is_ready = ready
            waiting = self._posted[1:]
        for slot in waiting:
            slot.on_change()
        self._changed()

    def set_takes(self, *, takes: bool) -> None:
        """Say whether a person lets the node take work; what it holds goes on."""
        self._takes = takes
        self._changed()

    def on_asked(self) -> None:
        """Record that kombu asks which queues to pop from."""
        self.asked_at = time.monotonic()

    def is_open(self) -> bool:
        """Tell whether to take another job."""
        now = time.monotonic()
        with self._lock:
            if not self._may_take(now):
                return False
            return not self._slots or (now < self._seen_until and self._is_end_near(now))

    @property
    def is_idle(self) -> bool:
        """Whether the node waits for work."""
        with self._lock:
            return not self._slots and self._may_take(time.monotonic())

    @property
    def has_posted(self) -> bool:
        """Whether a prompt of ours lies in the node's queue."""
        return bool(self._posted)

    def probe_delay_s(self) -> float | None:
        """Return after how long to probe the backlog; None: not before something changes."""
        now = time.monotonic()
        with self._lock:
            if not self._may_take(now) or not self._has_room():
                return None
            remaining_s, lookahead_s = self._remaining_s(now), self.render_times.lookahead_s
            return None if remaining_s is None else max(0.0, remaining_s - lookahead_s)

    def on_message_seen(self) -> None:
        """Record that a message waits, which therefore no idle node has taken."""
        with self._lock:
            self._seen_until = time.monotonic() + _SIGHTING_HOLDS_S
        self._on_open()

    def on_message_taken(self) -> None:
        """Close the gate: a message was taken, whose task begins in a moment."""
        with self._lock:
            self._arriving.append(time.monotonic())
            self._seen_until = 0.0
        self._on_change()

    def on_message_skipped(self) -> None:
        """Wait no longer for the task of a message that was none."""
        with self._lock:
            del self._arriving[:1]
        self._on_open()

    def take_slot(self) -> Slot:
        """Return a slot for a job that begins now, whether its message was counted or not."""
        with self._lock:
            taken_at = self._arriving.pop(0) if self._arriving else time.monotonic()
            slot = Slot(self, taken_at)
            self._slots.append(slot)
        return slot

    def on_posted(self, slot: Slot, *, since: float) -> None:
        """Append a job, as its prompt is the last in the node's queue."""
        with self._lock:
            if slot not in self._slots:  # its job was ended while its post was under way
                return
            self._posted.append(slot)
            is_first = self._posted[0] is slot
        self.render_times.on_turnaround(time.monotonic() - since)
        if is_first:
            slot.on_turn()
        self._changed()

    def on_executing(self, slot: Slot) -> None:
        """Move a job to the front: the node executes its prompt."""
        with self._lock:
            if slot not in self._posted or self._posted[0] is slot:
                return
            self._posted.remove(slot)
            self._posted.insert(0, slot)
        slot.on_turn()
        self._changed()

    def release(self, slot: Slot) -> None:
        """Count one job less, and let the next in line have the card."""
        with self._lock:
            if slot not in self._slots:
                return
            self._slots.remove(slot)
            was_first = bool(self._posted) and self._posted[0] is slot
            if slot in self._posted:
                self._posted.remove(slot)
            if was_first and not self._posted:
                self.card_use.on_free()
            successor = self._posted[0] if was_first and self._posted else None
        if successor:
            successor.on_turn()
        self._changed()

    def on_progress(self) -> None:
        """Wake the probe: a render has come further."""
        self._on_change()

    def remaining_s(self) -> float | None:
        """Return how long the prompt that renders has still to go; None if nobody can tell."""
        with self._lock:
            return self._first_remaining_s(time.monotonic())

    def _changed(self) -> None:
        self.card_use.set_open(is_open=self.is_ready and self._takes)
        self._on_open()
        self._on_change()

    def _may_take(self, now: float) -> bool:
        return self.is_ready and self._takes and not self._has_arriving(now)

    def _has_arriving(self, now: float) -> bool:
        oldest = now - self._arrives_within_s
        self._arriving = [taken for taken in self._arriving if taken > oldest]
        return bool(self._arriving)

    def _is_end_near(self, now: float) -> bool:
        remaining_s = self._remaining_s(now) if self._has_room() else None
        return remaining_s is not None and remaining_s <= self.render_times.lookahead_s

    def _has_room(self) -> bool:
        # One that is still being prepared comes first: there is no telling how long that takes.
        posted = len(self._posted)
        return posted == len(self._slots) and 0 < posted < self.render_times.depth

    def _remaining_s(self, now: float) -> float | None:
        """Return how long until the card would have nothing to do; None if nobody can tell."""
        total_s = self._first_remaining_s(now)
        for slot in self._posted[1:]:
            usual_s = self.render_times.expected_s(slot.kind)
            if total_s is None or usual_s is None:
                return None
            total_s += usual_s
        return total_s

    def _first_remaining_s(self, now: float) -> float | None:
        if not self._posted:
            return None
        first = self._posted[0]
        ran_s = now - (first.turn_at or now)
        return self.render_times.remaining_s(first.kind, ran_s=ran_s, done=first.done)


#: kombu makes the queue order itself, from its import path, so the two meet here.
GATE: Final = Gate()
