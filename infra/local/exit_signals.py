"""Exit signals: TERM and others raise in the main thread, so that `finally` blocks run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Turn Ctrl-C, TERM and HUP into SystemExit(128 + signal), so that ``with`` blocks are left.

    For the main thread. A signal that is ignored, as HUP is under ``nohup``, stays so.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    heeded = [number for number in _SIGNALS if before[number] is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def _exit(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
