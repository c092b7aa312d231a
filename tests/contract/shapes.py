"""The shapes of a prompt's messages, as recorded from ComfyUI 0.3.64 and 0.33.0.

Both versions send the same as long as steps are 100 ms apart (0.33 thins progress out). A shape is a type, for ``executing``, ``executed`` and ``progress`` with its
graph node, for ``progress_state`` with the state of the graph node it is about.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: Keys of ``data`` by type.
KEYS = {
    "status": {"status"},
    "execution_start": {"prompt_id", "timestamp"},
    "execution_cached": {"nodes", "prompt_id", "timestamp"},
    "progress_state": {"prompt_id", "nodes"},
    "executing": {"node", "display_node", "prompt_id"},
    "executing null": {"node", "prompt_id"},
    "progress": {"value", "max", "prompt_id", "node"},
    "executed": {"node", "display_node", "output", "prompt_id"},
    "execution_success": {"prompt_id", "timestamp"},
    "execution_interrupted": {"prompt_id", "node_id", "node_type", "executed", "timestamp"},
    "execution_error": {
        *("prompt_id", "node_id", "node_type", "executed", "exception_message"),
        *("exception_type", "traceback", "current_inputs", "current_outputs", "timestamp"),
    },
}

#: Keys of one graph node in ``progress_state``.
STATE_KEYS = {
    *("value", "max", "state", "node_id", "prompt_id"),
    *("display_node_id", "parent_node_id", "real_node_id"),
}

_BEGIN = ["status 1", "status 1", "execution_start", "execution_cached"]
_END = ["status 0", "executing null"]


def _runs(graph_node: str, *during: str) -> list[str]:
    running = f"progress_state {graph_node} running"
    finished = f"progress_state {graph_node} finished"
    return [running, f"executing {graph_node}", *during, finished]


#: EmptyImage → sleep in three steps → SaveImage.
NORMAL = [
    *_BEGIN,
    *_runs("1"),
    *_runs("2", *["progress_state 2 running", "progress 2"] * 3),
    *_runs("3", "executed 3"),
    *("execution_success", *_END),
]

#: The very same graph again: the old output is told, nothing runs.
CACHED = [*_BEGIN, "executed 3", "progress_state 3 finished", "execution_success", *_END]

#: Only the saving graph node differs.
PARTLY_CACHED = [*_BEGIN, *_runs("3", "executed 3"), "execution_success", *_END]

#: EmptyImage → a graph node that raises → SaveImage.
ERROR = [
    *_BEGIN,
    *_runs("1"),
    *("progress_state 3 running", "executing 3", "execution_error", *_END),
]

#: Interrupted after the first step of the sleep.
INTERRUPTED = [
    *_BEGIN,
    *_runs("1"),
    *("progress_state 2 running", "executing 2", "progress_state 2 running", "progress 2"),
    *("execution_interrupted", *_END),
]


def shape(message: dict[str, Any]) -> str:
    """Return the shape of one message."""
    type_, data = message["type"], message["data"]
    if type_ == "status":
        return f"status {data['status']['exec_info']['queue_remaining']}"
    if type_ == "progress_state":
        graph_node, state = list(data["nodes"].items())[-1]
        return f"progress_state {graph_node} {state['state']}"
    if type_ in {"executing", "executed", "progress"}:
        return f"{type_} {data['node'] or 'null'}"
    return type_


def keys_fit(messages: Iterable[dict[str, Any]]) -> bool:
    """Whether each message has the keys of its type, no more and no less."""
    for message in messages:
        type_, data = message["type"], message["data"]
        is_null = type_ == "executing" and data["node"] is None
        expected = KEYS["executing null" if is_null else type_]
        states = data["nodes"].values() if type_ == "progress_state" else ()
        if data.keys() != expected or any(state.keys() != STATE_KEYS for state in states):
            return False
    return True
