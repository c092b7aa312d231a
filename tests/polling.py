"""Wait for a fact, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(is_so: Callable[[], object], *, description: str, within_s: float = 60) -> None:
    """Return as soon as *is_so* is true; fail with *description* when it is not in time."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {description}"
        time.sleep(0.02)
