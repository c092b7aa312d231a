"""Which queues to take the next job from, and whether to take one at all.

kombu asks `QueueOrder.consume` before every blocking pop and calls `rotate` with the queue that
gave a message. An empty answer sends no pop at all, so the gate here is the only place that
limits how much a worker takes. kombu makes one instance a channel; they share the gate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

from kombu.utils.scheduling import round_robin_cycle

from producer.contract.queues import pinned_node

#: A message becomes a task within milliseconds. One that has not by then was none of ours, s.
_ARRIVES_WITHIN_S: Final = 5.0


class Slot:
    """One job's use of the graphics card."""

    def __init__(self, gate: Gate) -> None:
        self._gate: Gate | None = gate

    def release(self) -> None:
        """Let the next job be taken: this one needs the card no more. Twice is harmless."""
        gate, self._gate = self._gate, None
        if gate:
            gate.release()


class Gate:
    """Opens while the worker should take another job.

    A job counts from the moment its message is taken until it needs the graphics card no more;
    fetching and storing go on beside the next render.
    """

    def __init__(self, *, arrives_within_s: float = _ARRIVES_WITHIN_S) -> None:
        self._arrives_within_s = arrives_within_s
        self._lock = Lock()
        self._ready = False
        self._arriving: list[float] = []
        self._in_use = 0
        self._on_open: Callable[[], None] = lambda: None
        self.asked_at = time.monotonic()  #: When kombu last asked whether to take a message.

    def on_open(self, wake: Callable[[], None]) -> None:
        """Have *wake* called whenever the gate may have opened: nothing else tells kombu."""
        self._on_open = wake

    def set_ready(self, *, ready: bool) -> None:
        """Say whether the node can take work at all."""
        with self._lock:
            self._ready = ready
        self._on_open()

    def is_open(self) -> bool:
        """Tell whether to take another job."""
        self.asked_at = time.monotonic()
        with self._lock:
            oldest = time.monotonic() - self._arrives_within_s
            self._arriving = [taken for taken in self._arriving if taken > oldest]
            return self._ready and not self._arriving and not self._in_use

    def expect(self) -> None:
        """Hear that a message was taken; its task will begin in a moment."""
        with self._lock:
            self._arriving.append(time.monotonic())

    def begin(self) -> Slot:
        """Count a job that begins now, whether it was expected or not."""
        with self._lock:
            del self._arriving[:1]
            self._in_use += 1
        return Slot(self)

    def release(self) -> None:
        """Count one job less."""
        with self._lock:
            self._in_use -= 1
        self._on_open()


#: kombu makes the QueueOrder itself, from its import path, so the two meet here.
GATE: Final = Gate()


class QueueOrder(round_robin_cycle):
    """Pinned jobs first, then the pool's queues in turn; none while the gate is closed."""

    def consume(self, n: int) -> list[str]:
        """Return the queues to pop from; the first one that has a message wins."""
        if not GATE.is_open():
            return []
        queues: list[str] = self.items[:n]
        return sorted(queues, key=lambda queue: pinned_node(queue) is None)

    def rotate(self, last_used: str) -> str:
        """Hear which queue gave a message."""
        GATE.expect()
        return str(super().rotate(last_used))  # type: ignore[no-untyped-call]
