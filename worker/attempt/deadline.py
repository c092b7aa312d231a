"""The deadline of an attempt: the job's run_within, from claim to commit."""

from __future__ import annotations

import time
from collections.abc import Callable

from worker.errors import RunDeadlinePassed


class Deadline:
    """The job's run_within, counted for one attempt.

    The wait behind another prompt on its node is none of the attempt's own time; it may last as
    long once more.

    Args:
        within_s: so long the attempt may take, s.
    """

    def __init__(self, within_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._within_s = within_s
        self._clock = clock
        self._used_s = 0.0
        self._since = clock()
        self._waits = False

    def add_earlier_run(self, seconds: float) -> None:
        """Count what the attempt ran before this worker had it, by its record."""
        self._used_s += seconds

    def on_queued(self) -> None:
        """Stop the attempt's own clock: the prompt waits behind another one."""
        self._used_s += self._clock() - self._since
        self._since, self._waits = self._clock(), True

    def on_turn(self) -> None:
        """Restart the clock: the card is the prompt's; no effect if it was before."""
        if self._waits:
            self._since, self._waits = self._clock(), False

    def check(self) -> None:
        """Return if there is time left.

        Raises:
            RunDeadlinePassed: there is none.
        """
        spent_s = self._clock() - self._since
        if (spent_s if self._waits else self._used_s + spent_s) > self._within_s:
            raise RunDeadlinePassed(self._within_s)
