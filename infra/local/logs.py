"""Logs of services: one file for each service, and that of its previous run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

_FOLLOW_EVERY_S: Final = 0.1


def begin(log: Path) -> None:
    """Make *log* a new file; the previous run's becomes ``NAME.log.1``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.rename(log.with_name(log.name + ".1"))
    log.touch(mode=0o600)


def tail(log: Path, lines: int) -> list[str]:
    """Return the last *lines* of *log*, without line ends."""
    with log.open(errors="replace") as file:
        return file.read()[-8192:].splitlines()[-lines:]


async def follow(log: Path, emit: Callable[[str], None], until: asyncio.Event) -> None:
    """Hand each whole line that is written to *log* to *emit*, up to its end once *until* is set."""
    with log.open(errors="replace") as file:
        partial = ""
        while True:
            last = until.is_set()  # asked before reading: what came before it must not be missed
            *whole, partial = (partial + file.read()).split("\n")
            for line in whole:
                emit(line)
            if last:
                return
            await wait(until, _FOLLOW_EVERY_S)


async def wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
