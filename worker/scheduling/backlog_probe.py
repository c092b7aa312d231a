"""Backlog probe: tells whether a message waits, before a busy worker takes one; announces an idle node.

A blocking pop would get the next message even when an idle node stands beside: Redis serves the
longest waiting first. So a busy worker asks first, and pops only what nobody else has wanted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from threading import Event, Thread
from typing import Final

from producer.contract.errors import FleetError
from producer.store.backlog import Backlog
from worker.scheduling.gate import Gate

_log = logging.getLogger(__name__)

#: Pause between two probes while nothing waits, s: the first, and the longest.
_FIRST_PAUSE_S: Final = 0.02
_LAST_PAUSE_S: Final = 0.5
#: A node that has nothing for so long is idle, s; between two jobs of a long queue it never is.
_IDLE_AFTER_S: Final = 0.1
#: The longest pause of the thread, s. That a node is still idle goes with its beats.
_LONGEST_PAUSE_S: Final = 5.0


class BacklogProbe:
    """One thread beside the gate.

    Args:
        queues: returns those that the worker consumes.
    """

    def __init__(self, gate: Gate, backlog: Backlog, queues: Callable[[], Collection[str]]) -> None:
        self._gate = gate
        self._backlog = backlog
        self._queues = queues
        self._news = Event()
        self._stopped = Event()
        self._pause_s = _FIRST_PAUSE_S
        self._idle_since: float | None = None
        self._is_reported = False

    def start(self) -> None:
        """Start the thread."""
        self._gate.set_on_change(self._news.set)
        Thread(target=self._run, name="backlog-probe", daemon=True).start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._news.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                pause_s = min(self._probe(), self._report_idle())
            except FleetError as exc:
                _log.warning("nobody says whether jobs wait: %s", exc)
                pause_s = _LAST_PAUSE_S
            except Exception:  # noqa: BLE001 - without this thread the card would wait between jobs
                _log.exception("the backlog was not probed")
                pause_s = _LAST_PAUSE_S
            if self._news.wait(pause_s):
                self._news.clear()
                self._pause_s = _FIRST_PAUSE_S

    def _probe(self) -> float:
        """Probe the backlog if that is due; return the seconds until the next probe."""
        pause_s = self._gate.probe_delay_s()
        if pause_s is None:
            return _LONGEST_PAUSE_S
        if pause_s > 0:
            return pause_s
        if self._backlog.waits_in(self._queues()):
            self._gate.on_message_seen()
        self._pause_s, pause_s = min(2 * self._pause_s, _LAST_PAUSE_S), self._pause_s
        return pause_s

    def _report_idle(self) -> float:
        """Say whether the node is idle, if that is news; return when to think of it again."""
        now = time.monotonic()
        if not self._gate.is_idle:
            self._idle_since = None
            if self._is_reported:
                self._backlog.say_idle(is_idle=False)
                self._is_reported = False
            return _LONGEST_PAUSE_S
        self._idle_since = self._idle_since or now
        if now - self._idle_since < _IDLE_AFTER_S:
            return _IDLE_AFTER_S
        if not self._is_reported:
            self._backlog.say_idle(is_idle=True)
            self._is_reported = True
        return _LONGEST_PAUSE_S
