"""Waits for a call that may never come back, only while somebody wants its answer.

A store that takes or gives one byte a minute is never silent, so no timeout of a socket ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import Final, TypeVar

_Answer = TypeVar("_Answer")

_LOOK_EVERY_S: Final = 0.25


def watched(call: Callable[[], _Answer], *, check: Callable[[], None]) -> _Answer:
    """Return what *call* returns, or raise what it raises.

    Args:
        check: asked all along. When it raises, so does this; the call is left to itself, and its
            end is nobody's business: what it stores is an orphan of its attempt.
    """
    outcome: Future[_Answer] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as exc:  # noqa: BLE001 - raised where it is waited for
            outcome.set_exception(exc)

    Thread(target=run, name="watched-call", daemon=True).start()
    while not wait([outcome], timeout=_LOOK_EVERY_S).done:
        check()
    return outcome.result()
