"""Waits for a call that may never come back, only while somebody wants its answer.

A store that takes or gives one byte a minute is never silent, so no timeout of a socket ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from threading import enumerate as all_threads
from typing import Final, TypeVar

_Answer = TypeVar("_Answer")

_LOOK_EVERY_S: Final = 0.25
_NAME: Final = "watched-call"


def watched(
    call: Callable[[], _Answer], *, check: Callable[[], None], let_go_s: float = 0.0
) -> _Answer:
    """Return what *call* returns, or raise what it raises.

    Args:
        check: asked all along. When it raises, so does this; the call is left to itself, and its
            end is nobody's business: what it stores is an orphan of its attempt.
        let_go_s: how long the call may then take to end by itself, which it may hear of as well.
    """
    outcome: Future[_Answer] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as exc:  # noqa: BLE001 - raised where it is waited for
            outcome.set_exception(exc)

    Thread(target=run, name=_NAME, daemon=True).start()
    while not wait([outcome], timeout=_LOOK_EVERY_S).done:
        try:
            check()
        except BaseException:
            if wait([outcome], timeout=let_go_s).done:
                break
            raise
    return outcome.result()


def is_out() -> bool:
    """Tell whether any call has not come back; waiting for it at the exit could take for ever."""
    return any(thread.name == _NAME for thread in all_threads())
