"""Orphan guard: runs one service, and ends it when its supervisor ends, however that ends.

``python -I -S orphan_guard.py LINE GRACE_S ARGV...`` is started by :mod:`infra.local.guarded_process`, by its path and
never by import, so it needs the standard library alone and little memory. LINE is a file
descriptor, one end of a socket pair. The service's pid is written to it; the end of file on it
says that the supervisor is gone, which also a ``kill -9`` cannot keep quiet.

TERM and INT are passed to the service's main process only: a worker that forks keeps its busy
children alive while it shuts down, and a signal to the whole group would kill them.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Final

#: Exit code when the service's program could not be started, as a shell gives it.
CANNOT_START: Final = 127

#: Seconds that leftovers of the service's group get between TERM and KILL.
_LEFTOVERS_GRACE_S: Final = 2.0

_PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT)


def main(line_fd: int, grace_s: float, argv: list[str]) -> int:
    """Run *argv* until it ends; return its exit code as a shell would (128 + signal)."""
    line = socket.socket(fileno=line_fd)
    line.set_inheritable(False)
    signals = _catch_signals()
    try:
        # Other inherited descriptors go on to the service: it shares the lock on its data.
        service = subprocess.Popen(argv, process_group=0, close_fds=False)  # noqa: S603
    except OSError as exc:
        sys.stderr.write(f"cannot start {argv[0]}: {exc.strerror}\n")
        return CANNOT_START
    with suppress(OSError):  # the supervisor is gone already; `_hold` will read that
        line.sendall(b"%d\n" % service.pid)
    code = _hold(service, line, signals, grace_s)
    _end_leftovers(service.pid)
    return code if code >= 0 else 128 - code


def _catch_signals() -> socket.socket:
    """Return a socket on which each signal that arrives from now on is one byte, its number."""
    readable, writable = socket.socketpair()
    readable.settimeout(0)
    writable.settimeout(0)
    signal.set_wakeup_fd(writable.detach(), warn_on_full_buffer=False)
    for number in (*_PASSED_ON, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return readable


def _hold(
    service: subprocess.Popen[bytes], line: socket.socket, signals: socket.socket, grace_s: float
) -> int:
    """Pass signals on until the service ends; kill it when it outlasts its grace."""
    kill_at: float | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        selector.register(signals, selectors.EVENT_READ)
        while service.poll() is None:
            ready = {key.fileobj for key, _ in selector.select(_seconds_until(kill_at))}
            wanted = [n for n in _received(signals) if n in _PASSED_ON]
            if line in ready:  # nothing is ever sent to us, so this is the end of file
                selector.unregister(line)
                wanted.append(signal.SIGTERM)
            for number in wanted:
                service.send_signal(number)
            if wanted and kill_at is None:
                kill_at = time.monotonic() + grace_s
            if kill_at is not None and time.monotonic() >= kill_at:
                service.kill()
                return service.wait()
    return service.returncode


def _seconds_until(moment: float | None) -> float | None:
    return None if moment is None else max(0.0, moment - time.monotonic())


def _received(signals: socket.socket) -> bytes:
    try:
        return signals.recv(4096)
    except BlockingIOError:
        return b""


def _end_leftovers(group: int) -> None:
    """End what the service left behind in its process group."""
    # The group vanishes with its last member; on macOS one of zombies alone is not permitted.
    with suppress(ProcessLookupError, PermissionError):
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(group, number)
            deadline = time.monotonic() + _LEFTOVERS_GRACE_S
            while time.monotonic() < deadline:
                os.killpg(group, 0)
                time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
