"""Guarded process of a service, as its supervisor sees it; the process runs :mod:`infra.local.orphan_guard`."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

_GUARD: Final = Path(__file__).with_name("orphan_guard.py")

#: What the guard may take, beyond the service's own grace, to end leftovers and itself.
_GUARD_GRACE: Final = timedelta(seconds=6)


class GuardedProcess:
    """One run of a service, to be made inside a running event loop.

    A program that cannot be started is no error here: the process ends at once with exit code
    127 and its log says why.

    Output goes straight to *log*. Were it piped through the supervisor, a service would die of
    a broken pipe in the middle of its shutdown when the supervisor is killed. Nor is the guard
    one of asyncio's subprocesses: those are killed, not stopped, when their loop is closed early.

    Args:
        environment: complete; nothing of our own is added.
        grace: from TERM to KILL.
        inherited_fds: descriptors that the service holds open as long as it lives.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        log: Path,
        grace: timedelta,
        inherited_fds: Sequence[int] = (),
    ) -> None:
        self._grace = grace
        self._line, theirs = socket.socketpair()
        with theirs, log.open("ab") as output:
            self._guard = subprocess.Popen(  # noqa: S603 - what to run is the caller's to say
                (
                    *(sys.executable, "-I", "-S", str(_GUARD)),
                    *(str(theirs.fileno()), str(grace.total_seconds())),
                    *argv,
                ),
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(), *inherited_fds),
                start_new_session=True,  # a Ctrl-C on the terminal is the supervisor's alone
            )
        self._line.settimeout(0)
        self._pid = asyncio.create_task(self._read_pid())
        self._ended = asyncio.create_task(self._wait_for_end())

    async def pid(self) -> int:
        """Return the service's own process id, not its guard's; 0 if it could not be started."""
        return await asyncio.shield(self._pid)

    async def wait(self) -> int:
        """Wait until service and guard have ended; return the service's exit code."""
        return await asyncio.shield(self._ended)

    async def stop(self) -> int:
        """End the service: TERM, then KILL after its grace. Harmless when it has ended."""
        self._guard.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout((self._grace + _GUARD_GRACE).total_seconds()):
                return await self.wait()
        except TimeoutError:
            self._guard.kill()
            return await self.wait()

    async def _read_pid(self) -> int:
        return int(await asyncio.get_running_loop().sock_recv(self._line, 64) or 0)

    async def _wait_for_end(self) -> int:
        pid = await self._pid
        with self._line:  # the guard alone has the other end, so this is the end of the guard
            await asyncio.get_running_loop().sock_recv(self._line, 1)
        code = self._guard.wait()
        if code < 0 and pid:  # somebody killed the guard; nobody else would end the service then
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        return code
