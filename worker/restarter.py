"""Runs the operator's command on a node that hangs or is away."""

from __future__ import annotations

import logging
import shlex
import subprocess
import time
from typing import Final

_log = logging.getLogger(__name__)

#: A restart is given so long before it is tried again, s.
_EVERY_S: Final = 120.0
#: How long the command may take, s.
_TAKES_S: Final = 60.0


class Restarter:
    """Restarts a node's ComfyUI, now and then.

    Args:
        command: what to run; None to leave ComfyUI alone.
    """

    def __init__(self, node: str, command: str | None) -> None:
        self._node = node
        self._command = command
        self._ran_at = -_EVERY_S

    def __call__(self) -> None:
        """Run the command, unless that was tried a moment ago."""
        now = time.monotonic()
        if self._command is None or now - self._ran_at < _EVERY_S:
            return
        self._ran_at = now
        _log.warning("node %s: running %s", self._node, self._command)
        try:
            subprocess.run(shlex.split(self._command), check=True, timeout=_TAKES_S)  # noqa: S603 - theirs
        except (OSError, ValueError, subprocess.SubprocessError) as exc:
            _log.error("node %s: the restart command failed: %s", self._node, exc)
