"""Bounded call: runs a call that may never return, for as long as its attempt may go on.

A peer that takes or gives one byte a minute is never silent, so no socket timeout ends the call:
its open connections are shut down instead.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import copy_context
from threading import Thread
from threading import enumerate as all_threads
from typing import Final, TypeVar

from worker.open_connections import OpenConnections

_Answer = TypeVar("_Answer")

_CHECK_EVERY_S: Final = 0.25
_NAME: Final = "bounded-call"


def bounded_call(
    call: Callable[[], _Answer], *, check: Callable[[], None], abort_s: float = 0.0
) -> _Answer:
    """Return what *call* returns, or raise what it raises.

    Args:
        check: called every quarter of a second. When it raises, so does this, unless the call succeeds
            meanwhile. The call's connections are ended; what it stored is an orphan of its attempt.
        abort_s: how long the call may then take to end by itself. Half-way through, the request on
            which it waits is ended.
    """
    outcome: Future[_Answer] = Future()
    opened = OpenConnections()

    def run() -> None:
        try:
            with opened.registering():
                outcome.set_result(call())
        except BaseException as exc:  # noqa: BLE001 - raised where it is waited for
            outcome.set_exception(exc)

    Thread(target=copy_context().run, args=(run,), name=_NAME, daemon=True).start()
    while not wait([outcome], timeout=_CHECK_EVERY_S).done:
        try:
            check()
        except BaseException:
            if not _has_succeeded(outcome, opened, abort_s):
                raise
            return outcome.result()
    if opened.cuts:
        check()  # an answer that was cut off is none, whatever it looks like
    return outcome.result()


def _has_succeeded(outcome: Future[_Answer], opened: OpenConnections, within_s: float) -> bool:
    """Return whether a call that is to end has succeeded; if it does not end, end its requests."""
    for _ in range(2):
        if wait([outcome], timeout=within_s / 2).done:
            return outcome.exception() is None
        opened.cut()
    opened.end()
    return False


def has_open_calls() -> bool:
    """Return whether any call has not returned; waiting for it at the exit could take for ever."""
    return any(thread.name == _NAME for thread in all_threads())
