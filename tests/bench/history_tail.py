"""When a real ComfyUI executed what, read as it goes: a worker has the node forget it soon after."""

from __future__ import annotations

from collections.abc import Collection
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Final, Self

import requests

from tests.polling import wait_until

#: How often to look, s: far more often than a picture is fetched, stored and forgotten.
_EVERY_S: Final = 0.03
#: The newest entries, and so one more than can have come since the last look.
_NEWEST: Final = 8


class HistoryTail:
    """One thread that reads `/history` of one node (ComfyUI 0.3.64 to 0.33) until it is closed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._spans: dict[str, tuple[int, int]] = {}
        self._lock = Lock()
        self._closed = Event()
        self._thread = Thread(target=self._run, name="history-tail", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._thread.join(timeout=10)

    def spans(self, prompts: Collection[str]) -> list[tuple[int, int]]:
        """Return start and end of each of *prompts*, which have ended, in Unix ms.

        Raises:
            AssertionError: the node forgot one before it was seen.
        """
        wait_until(
            lambda: not set(prompts) - self._seen().keys(), description="each prompt was seen"
        )
        seen = self._seen()
        return [seen[prompt_id] for prompt_id in prompts]

    def _seen(self) -> dict[str, tuple[int, int]]:
        with self._lock:
            return dict(self._spans)

    def _run(self) -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not self._closed.wait(_EVERY_S):
                answer = session.get(f"{self._url}/history?max_items={_NEWEST}", timeout=10)
                ended = {
                    prompt_id: span
                    for prompt_id, entry in answer.json().items()
                    if (span := _span(entry))
                }
                with self._lock:
                    self._spans |= ended


def _span(entry: dict[str, Any]) -> tuple[int, int] | None:
    told = dict(entry["status"]["messages"])
    if "execution_success" not in told:
        return None
    return told["execution_start"]["timestamp"], told["execution_success"]["timestamp"]
