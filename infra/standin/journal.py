"""Journal of a stand-in: executed prompts and counts of requests, for tests (`GET /standin/journal`)."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(kw_only=True)
class PromptNote:
    """One execution of one prompt. Times are Unix ms; ``outcome`` is None while it runs."""

    prompt_id: str
    client_id: str | None
    job: str | None
    started_ms: int
    ended_ms: int | None = None
    outcome: str | None = None
    model_loads: list[str] = field(default_factory=list)
    renders: int = 0
    executed: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)


class Journal:
    """All prompts that the node executed, in order, and counts of requests. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notes: list[PromptNote] = []
        self._counts: Counter[str] = Counter()

    def count(self, what: str) -> None:
        """Add one to the count called *what*."""
        with self._lock:
            self._counts[what] += 1

    def begin(self, prompt_id: str, *, client_id: str | None, job: str | None) -> PromptNote:
        """Add and return the note of a prompt whose execution starts."""
        note = PromptNote(prompt_id=prompt_id, client_id=client_id, job=job, started_ms=now_ms())
        with self._lock:
            self._notes.append(note)
        return note

    def end(self, note: PromptNote, outcome: str) -> None:
        """Complete a note; *outcome* is ``success``, ``error``, ``interrupted`` or ``forgotten``."""
        with self._lock:
            note.ended_ms, note.outcome = now_ms(), outcome
            self._counts[outcome] += 1
            self._counts["renders"] += note.renders
            self._counts["model_loads"] += len(note.model_loads)

    def as_json(self) -> dict[str, Any]:
        """Return ``{"prompts": [note, …], "counts": {what: n}}``."""
        with self._lock:
            return {"prompts": [asdict(note) for note in self._notes], "counts": dict(self._counts)}


def now_ms() -> int:
    """Return the time in Unix ms, as ComfyUI stamps its messages."""
    return int(time.time() * 1000)
