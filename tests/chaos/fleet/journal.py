"""The client's journal: what was asked for, and what was answered; all that the checker knows of that side."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.chaos.fleet.workload import Work

_TRY_AGAIN_S: Final = 0.3

T = TypeVar("T")


class Journal:
    """JSON lines that are appended to a file; threads may share it, and processes the file."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8")

    def write(self, said: dict[str, Any]) -> None:
        """Append a line with the present time."""
        with self._lock:
            self._file.write(json.dumps({"at": time.time(), **said}) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def said_of(work: Work, *, key: str, batch: str, **where: Any) -> dict[str, Any]:
    """Return what the journal keeps of a submission."""
    said = {"do": "submit", "key": key, "batch": batch, "expects": work.expects}
    said |= {"named": work.named} if work.named else {}
    return said | {name: str(value) for name, value in where.items()}


def surely(ask: Callable[[], T | None], within_s: float) -> T:
    """Ask until there is an answer, as a careful client does; raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while (made := ask()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody took it for {within_s:g} s")
        time.sleep(_TRY_AGAIN_S)
    return made
