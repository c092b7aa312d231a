"""Processes that are started again whenever they end, as a supervisor does, and can be hurt."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.local import orphan_guard

#: systemd would wait as long for a unit with RestartSec=0.2; scaled like the fleet's other times.
_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 2.0
#: One that lived so long did not end because of how it was started.
_STEADY_S: Final = 3.0


@dataclass(frozen=True)
class End:
    """How and when a process ended.

    Args:
        code: as a shell gives it, 137 after a SIGKILL.
        by_us: whether the harness killed it; else it ended by itself.
    """

    at: float
    code: int
    by_us: bool


class KeptProcess:
    """One service of a fleet, with an orphan guard, so that it does not outlive the harness.

    Args:
        environment: complete.
        grace_s: from TERM to KILL when it is to end for good.
        pid_file: where its process id is written down, for others who may end it, and how often it has ended before.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        log: Path,
        grace_s: float = 5,
        pid_file: Path | None = None,
    ) -> None:
        self.name = name
        self.pid = 0
        self.ends: list[End] = []
        self._argv = tuple(argv)
        self._environment = dict(environment)
        self._once: dict[str, str] = {}
        self._killed = False
        self._directory = directory
        self._log = log
        self._grace_s = grace_s
        self._pid_file = pid_file
        self._ending = threading.Event()
        self._held_back = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name=f"keeper-{name}", daemon=True)

    def start(self) -> None:
        """Start it for the first time."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def signal(self, number: int) -> None:
        """Send a signal to its present process, if there is one."""
        with self._lock, suppress(ProcessLookupError):
            if self.pid:
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as `kill -9` does; it is started again."""
        self._killed = self._killed or bool(self.pid)  # what is down has ended by itself
        self.signal(signal.SIGKILL)

    def arm(self, environment: Mapping[str, str]) -> None:
        """Have its next start, and no later one, see this in its environment."""
        self._once = dict(environment)

    def take_down(self) -> None:
        """Kill it and keep it down until `bring_up`."""
        self._held_back.set()
        self.kill()

    def bring_up(self) -> None:
        """Let it start again."""
        self._held_back.clear()

    def end(self) -> None:
        """Stop it for good."""
        self._ending.set()
        self._held_back.clear()
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        self._thread.join(self._grace_s)
        if self._thread.is_alive():
            self.signal(signal.SIGKILL)
            self._thread.join()

    def _keep(self) -> None:
        pause_s = _PAUSE_S
        while not self._ending.is_set():
            began = time.monotonic()
            code = self._run_once()
            self.ends.append(End(time.time(), code, by_us=self._killed))
            self._killed = False
            steady = time.monotonic() - began > _STEADY_S
            pause_s = _PAUSE_S if steady else min(_LONGEST_PAUSE_S, 2 * pause_s)
            self._ending.wait(pause_s)
            while self._held_back.is_set() and not self._ending.wait(0.05):
                pass

    def _run_once(self) -> int:
        once, self._once = self._once, {}
        line, theirs = socket.socketpair()
        with line:
            with theirs, self._log.open("ab") as output:
                held = subprocess.Popen(
                    (
                        *(sys.executable, "-I", "-S", orphan_guard.__file__),
                        *(str(theirs.fileno()), str(self._grace_s)),
                        *self._argv,
                    ),
                    env={**self._environment, **once},
                    cwd=self._directory,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            self._set_pid(int(line.recv(64) or 0))
            if self._ending.is_set():  # it was told to end before it had begun
                self.signal(signal.SIGTERM)
            code = held.wait()
        self._set_pid(0)
        return code

    def _set_pid(self, pid: int) -> None:
        with self._lock:
            self.pid = pid
            if pid and self._pid_file:
                self._pid_file.write_text(f"{pid} {len(self.ends)}")
