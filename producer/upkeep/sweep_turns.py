"""Sweep turns: one process sweeps for a while, and the others find out without a command to Redis.

Who sweeps says so to all, by the outlook or a call, every two seconds at least. As long as a process hears that, another
one sweeps; once it has heard nothing for too long, it tries to take the lock. The lock decides: what is heard only
saves tries. Versions before did not wait for anything, and still may sweep at any time.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import Final

#: How long one process sweeps before another one has a turn, s: one that does it badly, as its connection
#: to the broker fails, must not do it for ever.
TERM_S: Final = 60.0
#: How often who sweeps says so, s, if it does not sweep more rarely.
_SAYS_EVERY_S: Final = 2.0
#: Another one tries to sweep after so many times that were missed.
_MISSED: Final = 2
#: Sweeps that a process leaves to others after its term, or after a step of its sweep failed.
_LEFT_TO_OTHERS: Final = 3


class SweepTurns:
    """Decides when one process tries to sweep.

    Args:
        every_s: seconds between two sweeps.
    """

    def __init__(self, *, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._says_every_s = max(every_s, min(_SAYS_EVERY_S, 3 * every_s))
        self._waits_until = self._said_at = -math.inf
        self._leads_since: float | None = None
        self._has_others = False

    def is_due(self) -> bool:
        """Tell whether to try."""
        return self._leads_since is not None or self._clock() >= self._waits_until

    def on_tried(self, *, leads: bool) -> None:
        """Record whether this process got the lock."""
        if not leads:
            self._leads_since = None
        elif self._leads_since is None:
            self._leads_since = self._clock()

    def has_to_say(self, *, told: bool) -> bool:
        """Tell whether the others are to be called now.

        Args:
            told: whether the outlook has just told them that somebody sweeps.
        """
        now = self._clock()
        is_due = now - self._said_at >= self._says_every_s
        if told or is_due:
            self._said_at = now
        return is_due and not told

    def on_swept(self, *, is_whole: bool) -> bool:
        """End the term if it is over, or a step of the sweep failed; return whether it is."""
        if self._leads_since is None or not self._has_others:
            return False
        if is_whole and self._clock() - self._leads_since < TERM_S:
            return False
        self._leads_since = None
        self._waits_until = self._clock() + _LEFT_TO_OTHERS * self._every_s
        return True

    def on_others(self, *, present: bool) -> None:
        """Record whether there are other nodes that could sweep."""
        self._has_others = present

    def on_said(self) -> None:
        """Record that some process has swept."""
        # Not all at once, should it say nothing any more.
        patience_s = self._says_every_s * (_MISSED + random.random())  # noqa: S311 - nothing secret
        self._waits_until = self._clock() + patience_s

    def on_left(self) -> None:
        """Record that the process which has swept leaves it to others."""
        self._waits_until = -math.inf
