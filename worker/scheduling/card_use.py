"""How much of the time the card renders for the fleet, and how long it waits between renders while a job waits."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from threading import Lock

from producer.contract.nodes import GAP_BOUNDS, NodeWork
from producer.contract.totals import Durations


class CardUse:
    """Counts since the worker began; called from any thread.

    A gap is the time from the end of a render until the next prompt is in the node's queue, less what passed of it before
    the next job waited anywhere. A prompt that lay there before the end has a gap of 0: how long ComfyUI takes from one to
    the next is not seen here. While the node takes no jobs there are no gaps.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._busy_since: float | None = None
        self._free_since: float | None = None  #: None while it is busy, or takes nothing.
        self._is_open = False
        self._rendered_s = 0.0
        self._gaps_s = 0.0
        self._gaps: Counter[float] = Counter()

    def set_open(self, *, is_open: bool) -> None:
        """Say whether the node takes jobs."""
        with self._lock:
            if is_open is not self._is_open:
                self._is_open = is_open
                self._free_since = self._clock() if is_open and self._busy_since is None else None

    def on_turn(self, waited_since: float) -> None:
        """Begin a render: its prompt is the first of ours in the node's queue.

        Args:
            waited_since: when its job began to wait, by the clock.
        """
        with self._lock:
            now = self._clock()
            if self._busy_since is not None:
                self._add_gap(0.0)
                return
            if self._free_since is not None:
                self._add_gap(max(0.0, now - max(self._free_since, waited_since)))
            self._busy_since, self._free_since = now, None

    def on_free(self) -> None:
        """End the last render: no prompt of ours is in the node's queue."""
        with self._lock:
            now = self._clock()
            if self._busy_since is not None:
                self._rendered_s += now - self._busy_since
            self._busy_since, self._free_since = None, now if self._is_open else None

    def counted(self) -> NodeWork:
        """Return what was counted; a render that goes on counts with what has passed of it."""
        with self._lock:
            now = self._clock()
            running_s = 0.0 if self._busy_since is None else now - self._busy_since
            return NodeWork(
                rendered_s=round(self._rendered_s + running_s, 3),
                gaps=Durations(
                    seconds=round(self._gaps_s, 3), within=dict(sorted(self._gaps.items()))
                ),
            )

    def _add_gap(self, seconds: float) -> None:
        self._gaps_s += seconds
        self._gaps[next((bound for bound in GAP_BOUNDS if seconds <= bound), math.inf)] += 1
