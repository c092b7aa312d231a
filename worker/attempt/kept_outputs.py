"""Kept outputs: waits for a node that is away and has outputs, as rendering them again would cost more.

To render it again costs as much as the first time, and takes a card from another job.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from worker.comfyui.client import ComfyUI, PromptPlace
from worker.comfyui.history import HistoryEntry, OutputFile
from worker.errors import (
    NodeError,
    NodeTimeout,
    NodeUnreachable,
    OutputMissing,
    OutputPending,
    PromptLost,
    SpoolFault,
)

_log = logging.getLogger(__name__)

#: A restart of ComfyUI, of its machine or of a switch takes no longer, s.
_AT_LEAST_S: Final = 120.0
#: Whoever is away for longer may not come back at all, s.
_AT_MOST_S: Final = 900.0
_POLL_EVERY_S: Final = 1.0
#: A node whose companion encodes writes some file within so long, s.
_WRITES_WITHIN_S: Final = 60.0


def wait_limit_s(rendered_s: float) -> float:
    """Return how long to wait for a node that holds what took so long to render, s.

    What renders within seconds is had sooner from another node than from one that is away for long.
    """
    return min(_AT_MOST_S, max(_AT_LEAST_S, 2 * rendered_s))


class KeptOutputs:
    """The outputs of one prompt at its node.

    Args:
        mark: what stands in the name of each file that no other prompt can have written.
        within_s: how long the node may be away in all; by default by how long it rendered.
    """

    def __init__(
        self,
        comfyui: ComfyUI,
        entry: HistoryEntry,
        *,
        node: str,
        mark: str,
        within_s: float | None = None,
    ) -> None:
        self._comfyui = comfyui
        self._prompt_id = entry.prompt_id
        self._node = node
        self._mark = mark
        self._within_s = wait_limit_s(entry.duration_s or 0) if within_s is None else within_s
        self._deadline: float | None = None
        self._written: str | None = None
        self._written_at = time.monotonic()

    def wait_until_back(
        self, error: NodeError, output: OutputFile, *, pause: Callable[[float], None]
    ) -> bool:
        """Tell whether *error* came of an absence that is over, so that *output* can be had now.

        Args:
            pause: waits so many seconds; what it raises ends the wait.

        Raises:
            PromptLost: the node was restarted, and has lost it or may have.
        """
        if isinstance(error, OutputPending):
            return self._is_written_on(error)
        if isinstance(error, OutputMissing):
            self._check_kept(output)
        if isinstance(error, SpoolFault):  # ours is the disk that is full
            pause(_POLL_EVERY_S)
            return self._has_time()
        if not isinstance(error, NodeUnreachable | NodeTimeout):
            return False
        was_away = False
        while (place := self._place()) is None:
            if not was_away:
                _log.warning("node %s is away with what it rendered: %s", self._node, error)
            was_away = True
            if not self._has_time():
                return False
            pause(_POLL_EVERY_S)
        if place is PromptPlace.UNKNOWN and not self._is_of_this_attempt_alone(output):
            raise PromptLost(self._node, f"it was restarted, and {output} may be another by now")
        return was_away

    def _is_written_on(self, error: OutputPending) -> bool:
        """Tell whether the node has written any file since it was last seen to."""
        now = time.monotonic()
        if error.written != self._written:
            self._written, self._written_at = error.written, now
        return now - self._written_at < _WRITES_WITHIN_S

    def _check_kept(self, output: OutputFile) -> None:
        if self._place() is PromptPlace.UNKNOWN:
            raise PromptLost(self._node, f"it was restarted, and no longer has {output}")

    def _place(self) -> PromptPlace | None:
        try:
            return self._comfyui.find_prompt(self._prompt_id)
        except NodeError:
            return None

    def _has_time(self) -> bool:
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._within_s
        return now < self._deadline

    def _is_of_this_attempt_alone(self, output: OutputFile) -> bool:
        # Temporary files go with a restart, and their names begin anew.
        return output.type == "output" and self._mark in f"{output.subfolder}/{output.filename}"
