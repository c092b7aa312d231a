"""Lapse evidence: decides that a lease has lapsed, even if Redis' clock was changed.

Leases end by Redis' clock. If that is stepped ahead, all leases end at once, although their workers
renew them. So a lease counts as lapsed only if this process has also seen no renewal of it for long
enough, by its own monotonic clock. A process that has watched the lease all along decides as early as
by Redis' clock alone: a lease that ends regularly was not renewed for its whole length.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from producer.contract.ids import JobId


class LeaseWatch:
    """What one process has seen of all leases; call `lapsed` regularly, also if another process sweeps.

    Args:
        unrenewed: how long a lease must have been seen without a renewal.
    """

    def __init__(
        self, *, unrenewed: timedelta, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._unrenewed_s = unrenewed.total_seconds()
        self._clock = clock
        self._seen: dict[JobId, tuple[float, float]] = {}  # its end, and when that was first seen

    def lapsed(self, leases: Iterable[tuple[JobId, float]], now_ms: float) -> list[JobId]:
        """Record all leases with their ends; return those that have lapsed.

        Args:
            leases: jobs and their leases' ends, Unix ms by Redis' clock.
            now_ms: the time by the same clock.
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
