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
from threading import Event, Lock, Thread
from typing import Final

_log = logging.getLogger(__name__)

#: Exit status that tells a supervisor to start the worker again.
RESTART_ME: Final = 70

_CHECK_EVERY_S: Final = 1.0
#: How long one round of the lease thread may take, s: a beat that Redis does not answer is given
#: up after 40 s, or 71 s on a connection that had been idle (measured, redis-py 8.1.0).
_ROUND_S: Final = 180.0
#: kombu's longest pause between two tries to connect, s (5.7.0).
_RECONNECTS_WITHIN_S: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class LifeSigns:
    """Signs of life, in seconds.

    Args:
        polled: since the broker was asked for messages, or could not be for a good reason: the
            gate was shut, or no thread free.
        looped: since the lease thread began a round.
        answered: for how long Redis has answered every beat; 0 while it does not.
    """

    polled: Callable[[], float]
    looped: Callable[[], float]
    answered: Callable[[], float]


class JobThreads:
    """The threads that jobs run in, one for the length of each `with` block.

    While all are taken, Celery asks for no messages, however long that is.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._freed_at = time.monotonic()
        self._lock = Lock()

    @property
    def free_since(self) -> float:
        """Since when one is free, by `time.monotonic()`; now, while none is."""
        return self._freed_at if self._free > 0 else time.monotonic()

    def __enter__(self) -> None:
        with self._lock:
            self._free -= 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._free == 0:
                self._freed_at = time.monotonic()
            self._free += 1


class Watchdog:
    """Looks at the signs every second.

    Args:
        poll_timeout_s: how long no messages may be asked for.
        die: what to do then; ends the process at once by default.
    """

    def __init__(
        self,
        signs: LifeSigns,
        *,
        poll_timeout_s: float = 40.0,
        die: Callable[[], None] = lambda: os._exit(RESTART_ME),
    ) -> None:
        self._signs = signs
        self._poll_timeout_s = poll_timeout_s
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

    def problem(self) -> str | None:
        """Return what is wrong, or None."""
        signs, poll_timeout_s = self._signs, self._poll_timeout_s
        if signs.looped() > _ROUND_S:
            return f"leases were not renewed for {signs.looped():.0f} s"
        # While Redis is away nobody can poll, and once it is back kombu may still be pausing.
        reachable_s = signs.answered() - _RECONNECTS_WITHIN_S
        if min(signs.polled(), reachable_s) > poll_timeout_s:
            return f"no messages were asked for in {signs.polled():.0f} s"
        return None

    def _run(self) -> None:
        while not self._stopped.wait(_CHECK_EVERY_S):
            if problem := self.problem():
                _log.critical("this worker is of no use any more: %s", problem)
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
