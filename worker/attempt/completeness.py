"""Completeness of an ended prompt: checks that it succeeded and listed all its files; makes notes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.links import ancestors
from producer.contract.classes.savers import LISTING, SILENT, WEBSOCKET_ONLY, seems_to_save
from producer.contract.graph.graph import Graph, describe
from worker.comfyui.continuations import is_unfinished
from worker.comfyui.history import HistoryEntry, Outcome
from worker.errors import PromptFailed, PromptIncomplete, PromptInterrupted


def check_succeeded(entry: HistoryEntry, *, node: str) -> None:
    """Check that the prompt succeeded.

    Raises:
        PromptInterrupted, PromptFailed: it did not.
    """
    if entry.outcome is Outcome.SUCCEEDED:
        return
    if entry.outcome is Outcome.INTERRUPTED:
        raise PromptInterrupted(node, "somebody interrupted the prompt at the node")
    error = entry.error
    if error is None:
        raise PromptFailed(node, "the prompt failed", graph_node=None, exception_type="unknown")
    where = f"graph node {error.graph_node} ({error.class_type})" if error.graph_node else "it"
    raise PromptFailed(
        node,
        f"{where} raised {error.exception_type}: {error.message}",
        graph_node=error.graph_node,
        exception_type=error.exception_type,
        class_type=error.class_type,
    )


def check_complete(
    entry: HistoryEntry,
    graph: Graph,
    *,
    listed: Mapping[str, int],
    catalog: Catalog | None,
    node: str,
) -> None:
    """Check that whatever is known to have listed files is there with them.

    A graph node did list them if the node said so over the socket; or if its class always does
    and nothing could keep it from being executed. An output of a prompt that succeeded was
    executed, cached, or blocked (`ExecutionBlocker`), and no core class blocks (ComfyUI 0.3.64,
    0.33.0). History and `executing` messages are alike for one that was blocked and one that
    listed nothing.

    Args:
        listed: how many files each graph node was heard to list.

    Raises:
        PromptIncomplete: naming the first graph node that lacks some.
    """
    there = Counter(output.graph_node for output in entry.outputs)
    for graph_node, count in listed.items():
        if there[graph_node] < count:
            raise PromptIncomplete(node, graph_node)
    for graph_node, found in graph.items():
        if (
            found["class_type"] in LISTING
            and graph_node not in entry.shown | entry.cached
            and _was_executed(graph, graph_node, catalog)
        ):
            raise PromptIncomplete(node, graph_node)


def notes_on(entry: HistoryEntry, graph: Graph) -> Iterator[str]:
    """Yield what a reader should know of what the prompt made beside its files."""
    longest = max(map(len, graph), default=0)
    listing = {_of_graph(output.graph_node, graph, longest) for output in entry.outputs}
    for graph_node, found in graph.items():
        if graph_node in listing or graph_node in entry.values:
            continue
        if seems_to_save(found["class_type"], found["inputs"]):
            yield f"{describe(graph, graph_node)} {_why(found['class_type'], graph_node, entry)}"
    if is_unfinished(entry):
        yield "a graph node says that its batch is unfinished, and no prompt goes on with it"
    for value in entry.left_out:
        yield f"{value} was left out: it is too large for a record"
    if not entry.outputs:
        yield "no graph node listed a file, so no artifact is stored"


def _of_graph(listed: str, graph: Graph, longest: int) -> str:
    """Return the graph node that a listed one is, or is within: 2.0.0.3 is in 2, but an id may have dots.

    Args:
        longest: characters of the longest id. A node may list one of a million dots: no more of it is looked at.
    """
    found = listed if len(listed) <= longest else listed[: longest + 1].rpartition(".")[0]
    while found not in graph and "." in found:
        found = found.rpartition(".")[0]
    return found


def _why(class_type: str, graph_node: str, entry: HistoryEntry) -> str:
    if class_type in WEBSOCKET_ONLY:
        return "sends its pictures over the websocket only, so none is stored"
    if class_type in SILENT:
        return "saves on the node and lists no file, so none is stored"
    if graph_node in entry.cached:
        return "was not executed again: the node had its result, and lists no file of it"
    return "listed no file: it saved none, was kept from it, or does not say which"


def _was_executed(graph: Graph, graph_node: str, catalog: Catalog | None) -> bool:
    return catalog is not None and all(
        catalog.is_core(graph[one]["class_type"]) for one in ancestors(graph, [graph_node])
    )
