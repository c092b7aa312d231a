"""Watchdog: ends a worker process that no longer polls the broker or renews leases; its supervisor restarts it.

A running process proves nothing: Celery workers have stopped consuming after reconnects in several
versions (celery#8030 to #10205). What counts is that the broker is polled and leases are renewed.
systemd's watchdog is notified by the same check.
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

#: Exit status that tells a supervisor to restart the worker.
RESTART_ME: Final = 70

_CHECK_EVERY_S: Final = 1.0
#: How long one round of the lease thread may take, s: a beat that Redis does not answer is given
#: up after 40 s, or 71 s on a connection that had been idle (measured, redis-py 8.1.0).
_ROUND_S: Final = 180.0
#: kombu's longest pause between two tries to connect, s (5.7.0).
_RECONNECTS_WITHIN_S: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class LifeSigns:
    """Signs of life; each callable returns seconds.

    Args:
        polled: since the broker was last polled, or polling was rightly off: the gate was closed,
            or no thread was free.
        looped: since the lease thread began a round.
        answered: for how long Redis has answered every beat; 0 while it does not.
    """

    polled: Callable[[], float]
    looped: Callable[[], float]
    answered: Callable[[], float]


class JobThreads:
    """Counts the threads that attempts run in, one per `with` block.

    While all are in use, Celery does not poll, however long that is.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._freed_at = time.monotonic()
        self._lock = Lock()

    @property
    def free_since(self) -> float:
        """Since when a thread is free, by `time.monotonic()`; the present time while none is."""
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
    """Checks the signs of life every second.

    Args:
        poll_timeout_s: how long the broker may go without a poll.
        die: called then; ends the process at once by default.
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
        """Start the checks; notify systemd that the worker is ready."""
        notify("READY=1")
        Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop the checks: the worker shuts down."""
        self._stopped.set()
        notify("STOPPING=1")

    def problem(self) -> str | None:
        """Return what is wrong with this process, or None."""
        signs, poll_timeout_s = self._signs, self._poll_timeout_s
        if signs.looped() > _ROUND_S:
            return f"leases were not renewed for {signs.looped():.0f} s"
        # While Redis is away polling is impossible, and once it is back kombu may still be pausing.
        reachable_s = signs.answered() - _RECONNECTS_WITHIN_S
        if min(signs.polled(), reachable_s) > poll_timeout_s:
            return f"no messages were asked for in {signs.polled():.0f} s"
        return None

    def _run(self) -> None:
        while not self._stopped.wait(_CHECK_EVERY_S):
            if problem := self.problem():
                _log.critical("this worker does no work any more, it ends: %s", problem)
                self._die()
                return
            notify("WATCHDOG=1")


def since(stamp: Callable[[], float]) -> Callable[[], float]:
    """Turn a time stamp by `time.monotonic()` into the seconds since."""
    return lambda: time.monotonic() - stamp()


def notify(state: str) -> None:
    """Send *state* to systemd, if it started this process (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.connect("\0" + address[1:] if address.startswith("@") else address)
            line.sendall(state.encode())
    except OSError as exc:
        _log.debug("systemd was not notified of %s: %s", state, exc)
