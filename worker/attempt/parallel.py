"""Runs a few pieces of work in parallel; after the first failure none is begun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from threading import Event, Lock
from typing import TypeVar

_Done = TypeVar("_Done")

#: A piece of work: receives `check_cancelled`, which raises once a sibling has failed.
Work = Callable[[Callable[[], None]], _Done]


class _SiblingFailed(Exception):
    """A sibling failed, so this piece of work ends."""


def run_parallel(works: Sequence[Work[_Done]], *, at_once: int) -> list[_Done]:
    """Return what *works* returned, in their order; none of them is under way any more.

    Raises:
        what the first that failed raised, as soon as those beside it have heard of it.
    """
    if len(works) == 1:  # needs no thread
        return [works[0](lambda: None)]
    failed = Event()

    def check() -> None:
        if failed.is_set():
            raise _SiblingFailed

    with ThreadPoolExecutor(at_once, thread_name_prefix="parallel") as threads:
        begun = [threads.submit(copy_context().run, work, check) for work in works]
        done, left = wait(begun, return_when=FIRST_EXCEPTION)
        if left:
            threads.shutdown(wait=False, cancel_futures=True)  # first, so that nothing new begins
            failed.set()
    return [work.result() for work in begun if work in done]


class Countdown:
    """Tells the last of so many threads that it is the last."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = Lock()

    def is_last(self) -> bool:
        """Count the caller; tell whether all have been counted now."""
        with self._lock:
            self._left -= 1
            return self._left == 0
