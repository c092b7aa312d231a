"""Ends a worker that lives but does no work any more; its supervisor starts another.

A process that is up proves nothing: Celery workers have stopped consuming after reconnects in
several versions (celery#8030 to #10205). What counts is that messages are asked for, and that
leases are renewed. systemd's watchdog is fed by the same.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final

_log = logging.getLogger(__name__)

#: Exit status that tells a supervisor to start the worker again.
RESTART_ME: Final = 70

_LOOK_EVERY_S: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Signs:
    """Signs of life, each the seconds since it was last seen.

    Args:
        polled: since the broker was asked for messages, or the gate was found shut.
        looped: since the lease thread went round.
        heard: since Redis answered a beat.
    """

    polled: Callable[[], float]
    looped: Callable[[], float]
    heard: Callable[[], float]


class Watchdog:
    """Looks at the signs every second.

    Args:
        patience_s: how long a sign may be missing.
        die: what to do then; ends the process at once by default.
    """

    def __init__(
        self,
        signs: Signs,
        *,
        patience_s: float = 40.0,
        die: Callable[[], None] = lambda: os._exit(RESTART_ME),
    ) -> None:
        self._signs = signs
        self._patience_s = patience_s
        self._die = die
        self._stopped = Event()

    def start(self) -> None:
        """Begin to look; say to systemd that the worker is ready."""
        notify("READY=1")
        Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop looking: the worker leaves."""
        self._stopped.set()
        notify("STOPPING=1")

    def complaint(self) -> str | None:
        """Return what is wrong, or None."""
        signs, patience_s = self._signs, self._patience_s
        if signs.looped() > patience_s:
            return f"leases were not renewed for {signs.looped():.0f} s"
        # While Redis is away nobody can poll; that is not the worker's fault.
        if signs.polled() > patience_s and signs.heard() < patience_s / 2:
            return f"no messages were asked for in {signs.polled():.0f} s"
        return None

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_EVERY_S):
            if complaint := self.complaint():
                _log.critical("this worker is of no use any more: %s", complaint)
                self._die()
                return
            notify("WATCHDOG=1")


def since(stamp: Callable[[], float]) -> Callable[[], float]:
    """Make a sign of something that tells when it last happened, by `time.monotonic()`."""
    return lambda: time.monotonic() - stamp()


def notify(state: str) -> None:
    """Tell systemd, if it started us (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.connect("\0" + address[1:] if address.startswith("@") else address)
            line.sendall(state.encode())
    except OSError as exc:
        _log.debug("systemd was not told %s: %s", state, exc)
