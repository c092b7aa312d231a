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
#: And so long if nobody has answered since: a start with many extensions takes minutes, and another
#: restart would begin it anew.
_STARTS_WITHIN_S: Final = 900.0
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
        self._ran_at = -_STARTS_WITHIN_S
        self._has_answered = True

    def note_answer(self) -> None:
        """Take it that a restart, if one was under way, is over."""
        self._has_answered = True

    def __call__(self) -> None:
        """Run the command, unless that was tried a moment ago."""
        now = time.monotonic()
        wait_s = _EVERY_S if self._has_answered else _STARTS_WITHIN_S
        if self._command is None or now - self._ran_at < wait_s:
            return
        self._ran_at = now
        self._has_answered = False
        _log.warning("node %s: running %s", self._node, self._command)
        try:
            subprocess.run(shlex.split(self._command), check=True, timeout=_TAKES_S)  # noqa: S603 - theirs
        except (OSError, ValueError, subprocess.SubprocessError) as exc:
            _log.error("node %s: the restart command failed: %s", self._node, exc)
