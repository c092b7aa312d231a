"""Evidence that a lease has lapsed, which no clock that is set anew can fake.

Leases end by Redis' clock. When that is stepped ahead, all of them have run out at once, although
their workers go on renewing them. So a lease counts as lapsed only once this process, by its own
monotonic clock, has seen nobody renew it for long enough. Whoever has watched it all along needs
no longer than before: a lease that runs out in good order has not been renewed for its whole length.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from producer.contract.ids import JobId


class LeaseWatch:
    """What one process has seen of all leases; it has to look at every turn, whoever sweeps.

    Args:
        unrenewed: how long a lease must have been seen without a renewal; a beat may be late.
    """

    def __init__(
        self, *, unrenewed: timedelta, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._unrenewed_s = unrenewed.total_seconds()
        self._clock = clock
        self._seen: dict[JobId, tuple[float, float]] = {}  # its end, and since when it is that

    def lapsed(self, leases: Iterable[tuple[JobId, float]], now_ms: float) -> list[JobId]:
        """Look at all leases, each with its end; return those that have run out for sure.

        Args:
            now_ms: the time by the clock that the ends are written in.
        """
        now = self._clock()
        seen = {}
        lapsed = []
        for job_id, ends_ms in leases:
            before = self._seen.get(job_id)
            since = before[1] if before and before[0] == ends_ms else now
            seen[job_id] = (ends_ms, since)
            if ends_ms <= now_ms and now - since >= self._unrenewed_s:
                lapsed.append(job_id)
        self._seen = seen
        return lapsed
