"""Prompt messages: what the websocket sends about one prompt, and what its history entry repeats."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from PIL import Image

from infra.standin.journal import now_ms
from infra.standin.websocket import Sockets

#: Seconds since the last report, and share of the total, below which 0.33 reports no progress.
_QUIET_S = 0.1
_LEAST_CHANGE = 0.005


class Teller:
    """Sends the messages of one prompt and keeps those for its history entry.

    With a client id they go to that client. Without one, progress and interrupts go to every socket and
    the rest to none (0.3.64 and 0.33.0).

    Args:
        thins_progress: leave out reports of small progress, as 0.33 does.
    """

    def __init__(
        self, sockets: Sockets, prompt_id: str, client_id: str | None, *, thins_progress: bool
    ) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.shown: dict[str, dict[str, list[Any]]] = {}
        self._sockets = sockets
        self._prompt_id = prompt_id
        self._client_id = client_id
        self._thins_progress = thins_progress
        self._states: dict[str, dict[str, Any]] = {}
        self._told_progress: dict[str, tuple[float, float]] = {}

    def announce(self, type_: str, data: Mapping[str, Any], *, to_all: bool = False) -> None:
        """Send a message that is also part of the history entry."""
        stamped = {**data, "prompt_id": self._prompt_id, "timestamp": now_ms()}
        self.messages.append((type_, stamped))
        if to_all or self._client_id is not None:
            self._sockets.send(type_, stamped, self._client_id)

    def begin(self, graph_node: str) -> None:
        """Send that a graph node starts."""
        self._tell_state(graph_node, 0.0, 1.0, "running")
        self._tell_client("executing", {"node": graph_node, "display_node": graph_node})

    def show(self, graph_node: str, ui: dict[str, list[Any]] | None) -> None:
        """Send `executed` with a graph node's `ui` output; None for a cached one without."""
        if ui:
            self.shown[graph_node] = ui
        data = {"node": graph_node, "display_node": graph_node, "output": ui}
        self._tell_client("executed", data)

    def end(self, graph_node: str) -> None:
        """Send that a graph node is finished, with its progress at the total."""
        total = self._states[graph_node]["max"] if graph_node in self._states else 1
        self._tell_state(graph_node, total, total, "finished")

    def end_prompt(self) -> None:
        """Send `executing` without a graph node: the prompt ended, and its history entry exists."""
        self._tell_client("executing", {"node": None})

    def progress(
        self, graph_node: str, value: float, total: float, preview: Image.Image | None, kind: str
    ) -> None:
        """Send a graph node's progress, with a preview if there is one."""
        if not (preview or self._is_worth_telling(graph_node, value, total)):
            return
        described = self._sockets.wants_metadata(self._client_id)
        self._tell_state(graph_node, value, total, "running")
        if preview and described:
            self._send_preview(graph_node, preview, kind)
        data = {"value": value, "max": total, "prompt_id": self._prompt_id, "node": graph_node}
        self._sockets.send("progress", data, self._client_id)
        if preview and not described:
            self._send_preview(graph_node, preview, kind)

    def _is_worth_telling(self, graph_node: str, value: float, total: float) -> bool:
        now = time.monotonic()
        sent_at, sent = self._told_progress.get(graph_node, (0.0, -1.0))
        is_edge = sent < 0 or value >= total
        is_news = now - sent_at >= _QUIET_S and value - sent >= _LEAST_CHANGE * total
        if self._thins_progress and not (is_edge or is_news):
            return False
        self._told_progress[graph_node] = (now, value)
        return True

    def _send_preview(self, graph_node: str, preview: Image.Image, kind: str) -> None:
        place = {"node_id": graph_node, "prompt_id": self._prompt_id}
        self._sockets.send_preview(preview, kind, place, self._client_id)

    def _tell_client(self, type_: str, data: dict[str, Any]) -> None:
        if self._client_id is not None:
            self._sockets.send(type_, {**data, "prompt_id": self._prompt_id}, self._client_id)

    def _tell_state(self, graph_node: str, value: float, total: float, state: str) -> None:
        self._states[graph_node] = {
            "value": value,
            "max": total,
            "state": state,
            "node_id": graph_node,
            "prompt_id": self._prompt_id,
            "display_node_id": graph_node,
            "parent_node_id": None,
            "real_node_id": graph_node,
        }
        data = {"prompt_id": self._prompt_id, "nodes": dict(self._states)}
        self._sockets.send("progress_state", data, self._client_id)
