"""One prompt at one node: post it, locate it, read its history, withdraw or cancel it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from producer.contract.graph.graph import Graph
from worker.comfyui.client import ComfyUI, PromptPlace
from worker.comfyui.history import HistoryEntry
from worker.errors import (
    ExecutorEnded,
    NodeError,
    NodeFault,
    NodeTimeout,
    NodeUnreachable,
    PromptLost,
)

_log = logging.getLogger(__name__)

#: How long a prompt whose post got no answer may take to appear in the node's queue, s.
_APPEARS_WITHIN_S: Final = 5.0
#: How long a node may not answer when asked which prompt continues the work, s.
_AWAY_S: Final = 20.0
#: How often the node is polled until then, s.
_POLL_EVERY_S: Final = 0.5


class NodePrompt:
    """One attempt's prompt at its node.

    Every method raises NodeUnreachable or NodeTimeout, unless it says otherwise, when the node
    does not answer.

    Args:
        marks: by which `extra_data` tells the attempt's prompts from others: some graph nodes
            queue further ones by themselves.
    """

    def __init__(
        self, comfyui: ComfyUI, prompt_id: str, *, node: str, marks: Mapping[str, Any] | None = None
    ) -> None:
        self.id = prompt_id
        self._before: list[str] = []
        self._marks = marks
        self._comfyui = comfyui
        self._node = node

    def post(self, graph: Graph, *, client_id: str, extra_data: dict[str, Any]) -> None:
        """Queue the prompt; the connection *client_id* will hear of it.

        Raises:
            PromptRejected: the node will not have it.
            NodeError: it was not queued.
        """
        try:
            self._comfyui.queue_prompt(
                dict(graph), prompt_id=self.id, client_id=client_id, extra_data=extra_data
            )
        except (NodeUnreachable, NodeTimeout, NodeFault):
            # Without an answer it may be queued all the same; only the node knows.
            if not self._is_queued():
                raise

    def place(self) -> PromptPlace:
        """Return where the node has it.

        Raises:
            PromptLost: nowhere.
        """
        place = self._comfyui.find_prompt(self.id)
        if place is PromptPlace.UNKNOWN:
            raise PromptLost(self._node, f"prompt {self.id} is gone; did ComfyUI restart?")
        return place

    def entry(self, *, timeout_s: float) -> HistoryEntry | None:
        """Return its history entry, for which to wait so long, or None."""
        deadline = time.monotonic() + timeout_s
        while True:
            entry = self._comfyui.history(self.id)
            if entry or time.monotonic() > deadline:
                return entry
            time.sleep(0.02)

    def check_executes(self) -> None:
        """Raise at once if the node's companion says that it executes nothing any more.

        Raises:
            ExecutorEnded: it says so, and the prompt has not ended.
        """
        try:
            self._comfyui.companion.check_executes()
        except ExecutorEnded:
            # The prompt may have ended before the executing thread did.
            if self._comfyui.find_prompt(self.id) is not PromptPlace.FINISHED:
                raise

    def withdraw(self) -> bool:
        """Take it out of the node's queue; tell whether it had not begun."""
        return self._comfyui.withdraw(self.id)

    def switch_to_continuation(self) -> bool:
        """Switch to the prompt that continues the work of this one; return whether there is one.

        Raises:
            PromptLost: the node knows neither any more.
        """
        began = time.monotonic()
        while not (found := self._next(gives_up=time.monotonic() - began > _AWAY_S)):
            if time.monotonic() - began > _APPEARS_WITHIN_S:
                self.place()
                return False
            time.sleep(_POLL_EVERY_S)
        self._before.append(self.id)
        self.id = found
        return True

    def cancel(self) -> None:
        """Cancel it and what continues it; log, and do not raise, if that fails."""
        try:
            self._comfyui.cancel(self.id)
            self._cancel_next()
        except NodeError as exc:
            _log.warning("node %s: prompt %s not cancelled: %s", self._node, self.id, exc)

    def _next(self, *, gives_up: bool) -> str | None:
        try:
            return self._comfyui.find_next(self._marks or {}, known={*self._before, self.id})
        except (NodeUnreachable, NodeTimeout):
            # The work of many prompts is not given up for a moment's silence.
            if gives_up:
                raise
            return None

    def _cancel_next(self) -> None:
        """Cancel what goes on with the work: a graph node may queue it before it hears of the end."""
        deadline = time.monotonic() + _APPEARS_WITHIN_S
        known = set(self._before) or {self.id}
        while self._marks and time.monotonic() < deadline:
            found = self._comfyui.find_next(self._marks, known=known, only_live=True)
            if found is None:
                return
            self._comfyui.cancel(found)
            time.sleep(_POLL_EVERY_S)

    def _is_queued(self) -> bool:
        """Return whether the post got through; validation may take the node a moment."""
        deadline = time.monotonic() + _APPEARS_WITHIN_S
        while True:
            try:
                if self._comfyui.find_prompt(self.id) is not PromptPlace.UNKNOWN:
                    return True
            except NodeError:
                pass
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_EVERY_S)
