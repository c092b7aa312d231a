"""Continuations: prompts that a graph node queues itself, to continue the work of its own prompt.

As ComfyUI-VideoHelperSuite does with a Meta Batch Manager (`requeue_workflow`): a part of a film
lists `unfinished_batch: [true]`, and the graph is queued again under an id of its own, with the
same `extra_data`. Only the last part lists the film.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from producer.contract.graph.graph import Graph
from worker.comfyui.connection import Connection
from worker.comfyui.history import HistoryEntry, Outcome, OutputFile, in_reading_order
from worker.foreign_data import LARGE_BYTES

_UNFINISHED: Final = "unfinished_batch"
#: How many entries of the history are searched: each holds a copy of its graph.
_NEWEST: Final = 32


#: The input by which graph nodes are told that they make a part of a film (ComfyUI-VideoHelperSuite).
_INPUT: Final = "meta_batch"


def may_continue(graph: Graph) -> bool:
    """Tell whether a graph node of *graph* may queue a further prompt to continue its work."""
    return any(_INPUT in found["inputs"] for found in graph.values())


def is_unfinished(entry: HistoryEntry) -> bool:
    """Tell whether another prompt goes on with the work of this one."""
    return entry.outcome is Outcome.SUCCEEDED and any(
        any(shown.get(_UNFINISHED, ())) for shown in entry.values.values()
    )


def joined(entry: HistoryEntry, later: HistoryEntry) -> HistoryEntry:
    """Return *later* with what the prompts before it had made as well."""
    values = {
        graph_node: {key: items for key, items in shown.items() if key != _UNFINISHED}
        for graph_node, shown in entry.values.items()
    }
    return replace(
        later,
        outputs=tuple(_numbered((*entry.outputs, *later.outputs))),
        values={name: shown for name, shown in {**values, **later.values}.items() if shown},
        left_out=tuple(dict.fromkeys((*entry.left_out, *later.left_out))),
        shown=entry.shown | later.shown,
        earlier=(*entry.earlier, entry.prompt_id),
    )


def find_next(
    http: Connection, marks: Mapping[str, Any], *, known: Collection[str], only_live: bool = False
) -> str | None:
    """Return the id of the oldest prompt whose `extra_data` has *marks* and that is not *known*.

    Args:
        only_live: whether those that have ended do not count.
    """
    if not only_live:
        history = http.get_object(f"/history?max_items={_NEWEST}", limit_bytes=LARGE_BYTES)
        for prompt_id, found in history.items():
            item = found.get("prompt") if isinstance(found, dict) else None
            if prompt_id not in known and _has(item, marks):
                return prompt_id
    queue = http.get_object("/queue", limit_bytes=LARGE_BYTES)
    for name in ("queue_running", "queue_pending"):
        items = queue.get(name)
        for item in items if isinstance(items, list) else ():
            if _has(item, marks) and isinstance(item[1], str) and item[1] not in known:
                return item[1]
    return None


def _has(item: Any, marks: Mapping[str, Any]) -> bool:
    """Tell whether `[number, prompt id, graph, extra_data, ...]` has the marks."""
    is_whole = isinstance(item, list) and len(item) > 3  # noqa: PLR2004
    extra_data = item[3] if is_whole else None
    return isinstance(extra_data, dict) and all(
        extra_data.get(name) == value for name, value in marks.items()
    )


def _numbered(outputs: Collection[OutputFile]) -> Iterator[OutputFile]:
    """Number the files of each graph node from 0 again; what a cache listed twice counts once."""
    counts: dict[str, int] = {}
    seen = set()
    for output in sorted(outputs, key=lambda one: in_reading_order((one.graph_node, one))):
        place = (output.graph_node, output.filename, output.subfolder, output.type)
        if place not in seen:
            seen.add(place)
            index = counts.get(output.graph_node, 0)
            counts[output.graph_node] = index + 1
            yield replace(output, index=index)
