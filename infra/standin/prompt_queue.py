"""Prompt queue: pending prompts, the running one, and the history of ended ones."""

from __future__ import annotations

import copy
import heapq
import threading
import time
import uuid
from collections.abc import Callable
from itertools import islice
from typing import Any

#: ``(number, prompt_id, graph, extra_data, outputs to execute)``, as in `/queue` and history.
Item = tuple[float, str, dict[str, Any], dict[str, Any], list[str]]

#: Keys of ``extra_data`` that history never shows; 0.33 leaves them out of `/queue` too.
SECRETS = ("api_key_comfy_org", "auth_token_comfy_org")

_LONGEST_HISTORY = 10_000


class PromptQueue:
    """One node's queue and history. Thread-safe: used by HTTP handlers and the executing thread.

    ``changed`` is called with the number of remaining prompts whenever ComfyUI sends `status`.
    """

    def __init__(self, changed: Callable[[int], None]) -> None:
        self._changed = changed
        self._lock = threading.RLock()
        self._filled = threading.Condition(self._lock)
        self._pending: list[Item] = []
        self._running: Item | None = None
        self._began = 0.0
        self._history: dict[str, dict[str, Any]] = {}
        self._closed = False
        #: Set when the running prompt is interrupted; cleared when the next one is taken.
        self.interrupted = threading.Event()

    def put(self, item: Item) -> None:
        """Queue *item*.

        Raises:
            TypeError: number and prompt_id are those of a pending item. The item is queued all the
                same: ComfyUI's heap compares the graphs only after it has appended the item.
        """
        with self._filled:
            heapq.heappush(self._pending, item)
            self._changed(self.remaining)
            self._filled.notify()

    def put_again(self, graph: dict[str, Any]) -> None:
        """Queue *graph* before all others, with a new id and the rest of the running item."""
        with self._lock:
            if self._running is None:
                return
            number, _, _, extra_data, outputs = self._running
            first = min([number, *(item[0] for item in self._pending)]) - 1
            self.put((first, str(uuid.uuid4()), graph, copy.deepcopy(extra_data), outputs))

    def take(self) -> Item | None:
        """Wait for the next item and make it the running one; None once the queue is closed."""
        with self._filled:
            self._filled.wait_for(lambda: self._pending or self._closed)
            if self._closed:
                return None
            item = heapq.heappop(self._pending)
            # A copy for handlers to show, since the executor changes the original.
            self._running = copy.deepcopy(item)
            self._began = time.monotonic()
            self.interrupted.clear()
            self._changed(self.remaining)
            return item

    def finish(self, entry: dict[str, Any]) -> None:
        """Move the running item to history, with the fields of *entry*."""
        with self._lock:
            if self._running is None:
                return
            item, self._running = self._running, None
            for secret in SECRETS:
                item[3].pop(secret, None)
            if len(self._history) > _LONGEST_HISTORY:
                del self._history[next(iter(self._history))]
            self._history[item[1]] = {"prompt": item, **entry}
            self._changed(self.remaining)

    def abandon(self) -> None:
        """Drop the running item without a history entry."""
        with self._lock:
            self._running = None
            self._changed(self.remaining)

    def close(self) -> None:
        """Let the executing thread end."""
        with self._filled:
            self._closed = True
            self._filled.notify_all()

    @property
    def remaining(self) -> int:
        """How many prompts are pending or running."""
        with self._lock:
            return len(self._pending) + (self._running is not None)

    def running(self) -> list[Item]:
        """Return the running item, if there is one."""
        with self._lock:
            return [self._running] if self._running else []

    def running_s(self) -> float | None:
        """Return for how many seconds the running item has run; None if there is none."""
        with self._lock:
            return time.monotonic() - self._began if self._running else None

    def pending(self) -> list[Item]:
        """Return the pending items in heap order, which is not the order they will run in."""
        with self._lock:
            return list(self._pending)

    def interrupt(self, prompt_id: str | None = None) -> bool:
        """Interrupt the running prompt, or only one of that id; return whether it was running."""
        with self._lock:
            is_meant = self._running is not None and prompt_id in (None, self._running[1])
            if is_meant:
                self.interrupted.set()
            return is_meant

    def delete(self, prompt_id: str) -> bool:
        """Drop one pending item of that id; return whether there was one."""
        with self._lock:
            for item in self._pending:
                if item[1] == prompt_id:
                    self._pending.remove(item)
                    heapq.heapify(self._pending)
                    self._changed(self.remaining)
                    return True
            return False

    def clear(self) -> None:
        """Drop every pending item."""
        with self._lock:
            self._pending.clear()
            self._changed(self.remaining)

    def history(self, *, newest: int | None = None, offset: int = -1) -> dict[str, Any]:
        """Return ended prompts, oldest first: all, the *newest* n, or n from *offset* on."""
        with self._lock:
            if newest is None:
                return dict(islice(self._history.items(), max(offset, 0), None))
            if newest <= 0:
                return {}
            start = offset if offset >= 0 else max(len(self._history) - newest, 0)
            return dict(islice(self._history.items(), start, start + newest))

    def find_ended(self, prompt_id: str) -> dict[str, Any] | None:
        """Return the history entry of the last ended prompt of that id, or None."""
        with self._lock:
            return self._history.get(prompt_id)

    def forget(self, prompt_id: str) -> None:
        """Drop the history entry of that id, if there is one."""
        with self._lock:
            self._history.pop(prompt_id, None)

    def forget_all(self) -> None:
        """Drop the whole history."""
        with self._lock:
            self._history.clear()
