"""A clock for tests, in place of `time.monotonic`."""

from __future__ import annotations


class Clock:
    """Stands still until a test sets `now`, s."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now
