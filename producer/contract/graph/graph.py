"""Graph in ComfyUI's API format: reads it, checks the shape of its graph nodes, describes them, hashes it."""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple, NotRequired, TypedDict

from producer.contract.errors import InvalidGraph
from producer.contract.graph.embedded_graphs import embedded_graph, is_picture
from producer.contract.graph.envelopes import is_workflow, unwrap
from producer.contract.graph.graph_texts import FIELD, check_size, decoded, loaded, text_of
from producer.contract.graph.json_values import canonical, find_flaw, kind_of, printable, shown
from producer.contract.graph.named_graphs import GraphLike as GraphLike  # noqa: PLC0414 - of graphs
from producer.contract.graph.named_graphs import JsonObject

#: Limit of graph nodes in one graph. The largest published ones have some hundreds.
MOST_GRAPH_NODES: Final = 20_000
_LONGEST_ID: Final = 500
#: How many times larger than its canonical JSON a graph's file may be: indentation and line ends.
_BLANKS: Final = 4
#: The key that ComfyUI's executor adds to graph nodes in a picture: the result of `IS_CHANGED`, NaN
#: where it raised (0.3.64 and 0.33.0). Posted again, it would make ComfyUI reuse cached results.
_EXECUTORS_OWN: Final = "is_changed"


class GraphNode(TypedDict):
    """One step of a graph, as `POST /prompt` takes it.

    An input is a JSON value, or a link `[graph node id, output slot]`.
    """

    class_type: str
    inputs: dict[str, Any]
    _meta: NotRequired[dict[str, Any]]  # the editor's; `title` serves as an address


Graph = dict[str, GraphNode]


class GraphDocument(NamedTuple):
    """A graph, its canonical JSON, and the `extra_data` of its file or envelope, unchecked."""

    graph: Graph
    canonical: bytes
    extra_data: dict[str, Any]


def read_graph(data: GraphLike, *, max_bytes: int, max_extra_bytes: int = 0) -> GraphDocument:
    """Read a graph: bare, in an envelope (see `envelopes`), or from a picture that ComfyUI saved.

    Graph nodes are kept unchanged, except for what ComfyUI's executor adds. The shape of every
    graph node is checked, also of those that no output needs: ComfyUI (0.3.64 and 0.33.0,
    `POST /prompt`) accepts one without inputs and then never executes anything again.

    Args:
        max_bytes: limit of the graph as canonical JSON.
        max_extra_bytes: limit of what else the document may hold.

    Raises:
        InvalidGraph: it holds no valid graph, or exceeds a limit; the message says what is there instead.
    """
    most = _BLANKS * max_bytes + max_extra_bytes
    if isinstance(data, bytes) and is_picture(data):
        document = {
            kind: loaded(text) for kind, text in embedded_graph(data, max_bytes=most).items()
        }
    else:
        document = data if isinstance(data, JsonObject) else loaded(text_of(data, most))
    graph, extra_data = unwrap(document)
    if len(graph) > MOST_GRAPH_NODES:
        raise InvalidGraph(
            f"the graph has {len(graph):,} graph nodes; the limit is {MOST_GRAPH_NODES:,}",
            field=FIELD,
        )
    graph = _checked(graph)
    own = to_bytes(graph)
    check_size(len(own), max_bytes)
    return GraphDocument(graph, own, extra_data)


def parse_graph(data: GraphLike, *, max_bytes: int) -> Graph:
    """Read only the graph; see `read_graph`."""
    return read_graph(data, max_bytes=max_bytes).graph


def stored_graph(data: bytes) -> Graph:
    """Read what `to_bytes` wrote, without a size limit: it was checked when it was stored.

    Raises:
        InvalidGraph: it is no such document.
    """
    return _checked(unwrap(loaded(decoded(data))).graph)


def to_bytes(graph: Graph) -> bytes:
    """Return *graph* as canonical JSON: sorted keys, no blanks, UTF-8."""
    return canonical(graph).encode()


def template_id(graph: Graph) -> str:
    """Return the id of *graph* as a template: SHA-256 of its canonical JSON, 64 hex digits."""
    return template_of(to_bytes(graph))


def template_of(data: bytes) -> str:
    """Return the same of what `to_bytes` has made."""
    return hashlib.sha256(data).hexdigest()


def title_of(graph_node: GraphNode) -> str | None:
    """Return the title that the editor shows, if the export has one."""
    meta: Any = graph_node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return title if isinstance(title, str) and title else None


def describe(graph: Graph, graph_node: str) -> str:
    """Name a graph node for a message: `graph node 6 (CLIPTextEncode "Positive Prompt")`."""
    found = graph[graph_node]
    title = title_of(found)
    named = f" {shown(title, most=40)}" if title and title != found["class_type"] else ""
    return f"graph node {printable(graph_node, most=40)} ({printable(found['class_type'], most=40)}{named})"


def literal(value: Any) -> Any:
    """Unwrap `{"__value__": x}`, which is how a graph writes a list that is no link."""
    if isinstance(value, dict) and "__value__" in value:
        return value["__value__"]
    return value


def _checked(graph: dict[str, Any]) -> Graph:
    own = {graph_node: _as_submitted(found) for graph_node, found in graph.items()}
    for graph_node, found in own.items():
        _check_shape(graph_node, found)
    return own


def _as_submitted(found: Any) -> Any:
    if not isinstance(found, dict) or _EXECUTORS_OWN not in found:
        return found
    return {key: value for key, value in found.items() if key != _EXECUTORS_OWN}


def _check_shape(graph_node: str, found: Any) -> None:
    if complaint := _shape_complaint(graph_node, found):
        raise InvalidGraph(
            f"graph node {printable(graph_node)} {complaint}",
            field=FIELD,
            graph_node=graph_node,
            advice=_mend(found),
        )


def _mend(found: Any) -> str | None:
    if not isinstance(found, dict):
        return "take it out if it is no graph node"
    if "class_type" in found:
        return None
    if is_workflow(found):
        return "it is a workflow of the editor: hand it in beside the graph, as extra_data.extra_pnginfo.workflow"
    return (
        "the editor exports a graph node without its class where the extension of that is missing; "
        "install it there, then export again"
    )


def _shape_complaint(graph_node: str, found: Any) -> str | None:
    if flaw := find_flaw(graph_node):
        return f"has an id that cannot be kept: {flaw}"
    if len(graph_node) > _LONGEST_ID:
        return f"has an id of {len(graph_node):,} characters; the limit is {_LONGEST_ID}"
    if not isinstance(found, dict):
        return f"is {kind_of(found)}, not an object with class_type and inputs"
    if "class_type" not in found:
        return "has no class_type, so nobody knows what it does"
    class_type = found["class_type"]
    if not isinstance(class_type, str) or not class_type:
        return f"has a class_type that is {kind_of(class_type) if class_type != '' else 'empty'}"
    return _inputs_complaint(found, class_type) or _flaw_beside_inputs(found)


def _inputs_complaint(found: dict[str, Any], class_type: str) -> str | None:
    if "inputs" not in found:
        return f"({printable(class_type)}) has no inputs; write {{}} if it needs none"
    if not isinstance(found["inputs"], dict):
        return f"({printable(class_type)}) has inputs that are {kind_of(found['inputs'])}, not an object"
    for name, value in found["inputs"].items():
        if flaw := find_flaw(name) or find_flaw(value):
            return f"({printable(class_type)}) has a bad value in {printable(name)}: {flaw}"
    return None


def _flaw_beside_inputs(found: dict[str, Any]) -> str | None:
    beside = {key: value for key, value in found.items() if key != "inputs"}
    flaw = find_flaw(beside)
    return f"has a bad value beside its inputs: {flaw}" if flaw else None
