"""Whether a node, and not its jobs, makes graph nodes raise. Pure.

One job that fails speaks against the job, and so do many of one template. Jobs of different
templates that raise the same, with no success between them, speak against the node.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

from producer.contract.errors import PromptFailed
from producer.contract.jobs import Job

#: So many different templates.
_TEMPLATES: Final = 3


class AlikeFailures:
    """What graph nodes raised on one node since its last success."""

    def __init__(self) -> None:
        self._templates: dict[tuple[str, str | None], set[str]] = {}
        self._lock = Lock()

    def hear(self, job: Job, error: PromptFailed, *, node: str) -> bool:
        """Hear how an attempt at *job* on *node* ended; return whether the node is to blame."""
        if _failed_elsewhere(job, node):
            return False
        with self._lock:
            kind = (error.exception_type, error.class_type)
            templates = self._templates.setdefault(kind, set())
            templates.add(job.template)
            return len(templates) >= _TEMPLATES

    def success(self) -> None:
        """Hear that a job succeeded here."""
        with self._lock:
            self._templates.clear()


def _failed_elsewhere(job: Job, node: str) -> bool:
    return any(
        attempt.node != node and attempt.error.cause == "execution_error"
        for attempt in job.attempts
    )
