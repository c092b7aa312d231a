"""Runs the operator's restart command for a ComfyUI that hangs or is away."""

from __future__ import annotations

import logging
import math
import shlex
import subprocess
import time
from collections.abc import Callable
from typing import Final

_log = logging.getLogger(__name__)

#: A node that came back is not restarted again so soon, s.
_EVERY_S: Final = 120.0
#: So long a ComfyUI may take to start: custom nodes, their downloads, a slow disk. Another run
#: would cut its start off, s.
_STARTS_WITHIN_S: Final = 900.0
#: How long the command may take, s.
_TAKES_S: Final = 60.0


def _told(exc: Exception) -> str:
    """Return what went wrong without the command, which may hold a password."""
    match exc:
        case subprocess.CalledProcessError():
            return f"the command ended with status {exc.returncode}"
        case subprocess.TimeoutExpired():
            return f"the command took longer than {_TAKES_S:g} s"
        case OSError():
            return f"the command cannot be run: {exc.strerror or type(exc).__name__}"
        case _:
            return "the command cannot be read"


class Restarter:
    """Restarts a node's ComfyUI, and waits for it to come back before it does so again.

    Args:
        command: what to run; None to leave ComfyUI alone.
    """

    def __init__(
        self, node: str, command: str | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._node = node
        self._command = command
        self._clock = clock
        self._ran_at = -math.inf
        self._is_back = True

    def __call__(self) -> None:
        """Run the command, unless a restart is under way."""
        now = self._clock()
        bound_s = _EVERY_S if self._is_back else _STARTS_WITHIN_S
        if self._command is None or now - self._ran_at < bound_s:
            return
        self._run(self._command)

    def run_now(self) -> str:
        """Run the command whenever it ran before, as a person asks for it; return what went wrong, if anything."""
        return (
            "its worker has no restart command"
            if self._command is None
            else self._run(self._command)
        )

    def _run(self, command: str) -> str:
        self._ran_at, self._is_back = self._clock(), False
        _log.warning("node %s: running %s", self._node, command)
        try:
            subprocess.run(shlex.split(command), check=True, timeout=_TAKES_S)  # noqa: S603 - theirs
        except (OSError, ValueError, subprocess.SubprocessError) as exc:
            _log.error("node %s: the restart command failed: %s", self._node, exc)
            return _told(exc)
        return ""

    def on_recovered(self) -> None:
        """End the wait for a restart: the node executes, or answers after it was away.

        That it answers alone says nothing: one that is told to stop does so for a while.
        """
        self._is_back = True
