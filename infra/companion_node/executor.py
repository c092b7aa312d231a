"""The one thread in which ComfyUI executes prompts, seen from outside.

ComfyUI goes on to answer HTTP and to take prompts when that thread has ended: a graph node that
raises SystemExit is enough (0.3.64 and 0.33.0, `main.py`). Only a restart helps then.
"""

from __future__ import annotations

import threading
import time
from typing import Any

_TARGET = "prompt_worker"


class Executor:
    """What can be told of it; None wherever this ComfyUI is another than those we know."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._thread: threading.Thread | None = None
        self._running: _Running | None = None

    def find(self) -> None:
        """Look for the thread, and begin to note when prompts start; none may run yet."""
        self._thread = next(filter(_is_executor, threading.enumerate()), None)
        queue = self._server.prompt_queue
        if getattr(queue, "currently_running", None) == {}:
            queue.currently_running = self._running = _Running()

    def status(self) -> dict[str, Any]:
        """Return `{"alive", "prompt_id", "running_s", "pending"}`.

        All but `pending` may be None; `prompt_id` and `running_s` are while no prompt runs.
        """
        prompt_id, running_s = self._running.now() if self._running is not None else (None, None)
        return {
            "alive": self._thread.is_alive() if self._thread else None,
            "prompt_id": prompt_id,
            "running_s": running_s,
            "pending": len(self._server.prompt_queue.queue),
        }


class _Running(dict):  # type: ignore[type-arg]
    """`PromptQueue.currently_running`, number → item, which also knows since when."""

    def __init__(self) -> None:
        super().__init__()
        self._since = 0.0

    def __setitem__(self, number: Any, item: Any) -> None:
        self._since = time.monotonic()
        super().__setitem__(number, item)

    def now(self) -> tuple[str | None, float | None]:
        """Return the id of the prompt that runs, and for how many seconds it has."""
        item = next(iter(self.copy().values()), None)
        return (None, None) if item is None else (item[1], time.monotonic() - self._since)


def _is_executor(thread: threading.Thread) -> bool:
    # A thread's name tells its target from Python 3.10 on.
    target = getattr(thread, "_target", None)
    return _TARGET in thread.name or getattr(target, "__name__", None) == _TARGET
