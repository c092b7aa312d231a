"""Progress of a prompt, computed from the node's websocket messages. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from producer.contract.jobs import Progress

#: No count of steps comes near it, and every whole number below it is exact as a float.
_LIMIT: Final = 1e15


class ProgressTally:
    """Adds up the messages of one prompt, as ComfyUI 0.3.64 to 0.33 send them.

    Args:
        graph_nodes: the ids in the graph. Graph nodes may expand into others while they run;
            those show as the one they came from and are not counted.
    """

    def __init__(self, graph_nodes: Collection[str]) -> None:
        self._graph_nodes = frozenset(graph_nodes)
        self.done: set[str] = set()
        self.cached: set[str] = set()
        self.current: str | None = None  #: The graph node that runs.
        self.value = 0.0  #: Its last step, of *max*.
        self.max = 0.0

    def add(self, kind: str, data: dict[str, Any]) -> Progress:
        """Take one message into account and return what is known now."""
        match kind:
            case "execution_cached":
                listed = _listed(data.get("nodes"))
                self.cached.update(listed)
                self._finish(*listed)
            case "executing" if data.get("node") is not None:
                self._begin(self._shown(data))
            case "progress":
                self._step(self._shown(data), data)
            case "progress_state":
                self._add_states(data.get("nodes"))
            case "executed":
                self._finish(self._shown(data))
            case "execution_success":  # what stayed lazy never says that it is done
                self._finish(*self._graph_nodes)
        return self._progress()

    def _add_states(self, states: Any) -> None:
        """Read `{id: {"state", "value", "max", "display_node_id", ...}}`, cumulative."""
        running: dict[str, dict[str, Any]] = {}
        for graph_node, state in states.items() if isinstance(states, dict) else ():
            if not isinstance(state, dict):
                continue
            shown = str(state.get("display_node_id") or graph_node)
            if state.get("state") == "running":
                running[shown] = state
            elif state.get("state") == "finished" and shown == graph_node:
                self._finish(graph_node)
        # Its steps are left to "progress", which says the same and is not a step behind.
        if running and self.current not in running:
            self._step(*running.popitem())

    def _begin(self, graph_node: str | None) -> None:
        if graph_node != self.current:
            self.current, self.value, self.max = graph_node, 0.0, 0.0

    def _step(self, graph_node: str | None, data: dict[str, Any]) -> None:
        self._begin(graph_node)
        self.value, self.max = _number(data.get("value")), _number(data.get("max"))

    def _finish(self, *graph_nodes: str | None) -> None:
        self.done.update(node for node in graph_nodes if node is not None)
        if self.current in self.done:
            self._begin(None)  # its last step and itself are not to be counted both

    def _shown(self, data: dict[str, Any]) -> str | None:
        """Return the graph node a message is about; an expanded one, `2.0.0.3`, is within 2."""
        if shown := data.get("display_node"):
            return str(shown)
        if data.get("node") is None:
            return None
        node = str(data["node"])
        return node if node in self._graph_nodes else node.partition(".")[0]

    def _progress(self) -> Progress:
        counted = self.done & self._graph_nodes if self._graph_nodes else self.done
        return Progress(
            graph_node=self.current,
            value=self.value,
            max=self.max,
            graph_nodes_done=len(counted),
            graph_nodes=len(self._graph_nodes),
        )


def _listed(nodes: Any) -> list[str]:
    return [str(node) for node in nodes] if isinstance(nodes, list) else []


def _number(found: Any) -> float:
    is_number = isinstance(found, int | float) and -_LIMIT < found < _LIMIT  # so not NaN either
    return float(found) if is_number else 0.0
