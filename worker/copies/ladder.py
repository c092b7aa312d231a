"""When a copy is tried again, and when it is given up."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

#: Waits after each try that failed: the copy is given up after the try that follows the last of them, within three days.
WAITS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400)
)
MOST_TRIES: Final = len(WAITS) + 1


def wait_after(tries: int) -> timedelta | None:
    """Return how long to wait after so many tries that failed; None to give up."""
    return WAITS[tries - 1] if 0 < tries <= len(WAITS) else None
