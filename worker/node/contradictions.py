"""Failures that were charged to jobs, until other nodes rendered the same jobs. Pure.

An error in words that nobody knows may be the graph's or the node's. Jobs that fail here and then
succeed elsewhere tell which it is: a job's own fault goes with it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Final

from producer.contract.causes import Cause
from producer.contract.ids import JobId
from producer.contract.jobs import Job

#: Causes that speak against the job unless another node contradicts. A card with less memory is none.
_CONTRADICTED: Final = frozenset({Cause.EXECUTION_ERROR, Cause.INCOMPLETE_OUTPUT})
#: So many jobs are no chance, where some graph node fails now and then.
_ENOUGH: Final = 3
_WINDOW_S: Final = 600.0


def contradicted(job: Job, *, by: str) -> Iterator[tuple[str, str]]:
    """Give node and message of each charged attempt that success on node *by* contradicts."""
    for attempt in job.attempts:
        is_other = attempt.node is not None and attempt.node != by
        if is_other and attempt.charged and attempt.error.cause in _CONTRADICTED:
            yield str(attempt.node), attempt.error.message


class Contradictions:
    """What this node failed and others rendered, since a job last succeeded here.

    Calls add to it in one thread, attempts that succeed clear it in others.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._seen: dict[tuple[str, JobId], float] = {}

    def add(self, job_id: JobId, message: str) -> str | None:
        """Note one; return what to blame the node for once several jobs have failed alike."""
        now, alike = self._clock(), _likeness(message)
        with self._lock:
            self._seen[alike, job_id] = now
            self._seen = {key: at for key, at in self._seen.items() if now - at < _WINDOW_S}
            if sum(likeness == alike for likeness, _ in self._seen) < _ENOUGH:
                return None
            self._seen.clear()  # each fault needs evidence of its own
        return f"{_ENOUGH} jobs failed alike here and were rendered elsewhere: {message}"

    def clear(self) -> None:
        """Forget all: a job has succeeded here."""
        with self._lock:
            self._seen.clear()


def _likeness(message: str) -> str:
    """Return what errors of one kind have in common: ids, sizes and addresses differ."""
    return re.sub(r"(0x)?[0-9a-f]*\d[0-9a-f]*", "#", message[:300].lower())
