"""Graph in ComfyUI's API format: reads it, checks its shape, describes graph nodes, hashes it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, NotRequired, TypedDict

from producer.contract.errors import InvalidGraph
from producer.contract.graph.embedded_graphs import embedded_graph, is_picture, media_kind
from producer.contract.graph.envelopes import EXPORT, unwrap
from producer.contract.graph.json_values import canonical, find_flaw, kind_of, printable, shown
from producer.contract.graph.named_graphs import GraphLike as GraphLike  # noqa: PLC0414 - of graphs
from producer.contract.graph.named_graphs import JsonObject

_FIELD: Final = "graph"

#: Limit of graph nodes in one graph. The largest published ones have some hundreds.
MOST_GRAPH_NODES: Final = 20_000
_LONGEST_ID: Final = 500
#: How many times larger than its canonical JSON a graph's file may be: indentation and line ends.
_BLANKS: Final = 4
_READ_PICTURES: Final = "of pictures, PNG, WEBP and JPEG that ComfyUI saved are read"
#: The key that ComfyUI's executor adds to graph nodes in a picture: the result of `IS_CHANGED`, NaN
#: where it raised (0.3.64 and 0.33.0). Posted again, it would make ComfyUI reuse cached results.
_EXECUTORS_OWN: Final = "is_changed"

#: Beginnings of files that are no JSON → the advice.
_PRINTED: Final = "it is what Python prints; write it by json.dumps"
_NO_JSON: Final = {
    "<": f"it is a page of a web site, or XML: {EXPORT}",
    "```": "take the lines with ``` out",
    "{'": _PRINTED,
    "[{'": _PRINTED,
}


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
            kind: _load(text) for kind, text in embedded_graph(data, max_bytes=most).items()
        }
    else:
        document = data if isinstance(data, JsonObject) else _load(_text(data, most))
    graph, extra_data = unwrap(document)
    if len(graph) > MOST_GRAPH_NODES:
        raise InvalidGraph(
            f"the graph has {len(graph):,} graph nodes; the limit is {MOST_GRAPH_NODES:,}",
            field=_FIELD,
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
    return _checked(unwrap(_load(_decoded(data))).graph)


def check_size(size: int, max_bytes: int) -> None:
    """Raise InvalidGraph, naming the limit, if a graph has more than *max_bytes*."""
    if size > max_bytes:
        raise InvalidGraph(
            f"the graph has {size:,} bytes; the limit is {max_bytes:,} bytes "
            "(COMFYFLEET_MAX_GRAPH_BYTES)",
            field=_FIELD,
            advice="hand pictures in as input files",
        )


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


def _text(data: GraphLike, most: int) -> str:
    if isinstance(data, Mapping | list):
        data = _dumped(data)
    if not isinstance(data, bytes | str):
        raise InvalidGraph(
            f"expected a graph as bytes, text or an object, not {type(data).__name__}", field=_FIELD
        )
    check_size(
        len(data) if isinstance(data, bytes) else len(data.encode("utf-8", "surrogatepass")), most
    )
    return _decoded(data) if isinstance(data, bytes) else data.removeprefix("\ufeff")


def _decoded(data: bytes) -> str:
    if kind := media_kind(data):
        raise InvalidGraph(
            f"this is {kind}, in which no graph is looked for", field=_FIELD, advice=_READ_PICTURES
        )
    # Editors on Windows write a byte order mark, and its old shells UTF-16.
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as exc:
        raise InvalidGraph(
            f"the graph is not UTF-8 text: byte 0x{data[exc.start]:02x} at offset {exc.start}",
            field=_FIELD,
            advice=f"submit the graph's JSON, saved as UTF-8; {_READ_PICTURES}",
        ) from exc


def _dumped(data: Mapping[str, Any] | list[Any]) -> str:
    try:
        plain = dict(data) if isinstance(data, Mapping) else data
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError) as exc:
        raise InvalidGraph(f"the graph is no JSON document: {exc}", field=_FIELD) from exc
    except RecursionError as exc:
        raise _too_deep() from exc


def _load(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_doubles)
    except json.JSONDecodeError as exc:
        raise InvalidGraph(
            f"the graph is not JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}",
            field=_FIELD,
            advice=_what_it_is(text, exc),
        ) from exc
    except RecursionError as exc:
        raise _too_deep() from exc
    except ValueError as exc:  # a number of more than 4,300 digits
        raise InvalidGraph(f"the graph is not JSON we can read: {exc}", field=_FIELD) from exc


def _what_it_is(text: str, error: json.JSONDecodeError) -> str | None:
    """Return advice for common documents that are no JSON; None for others."""
    begin = text.lstrip()[:100]
    if not begin:
        return f"it is empty: {EXPORT}"
    if error.msg == "Extra data" and text[error.pos : error.pos + 1] in {"{", "["}:
        return "it holds several documents; submit them one by one"
    if "\0" in begin:
        return "save it as UTF-8; it seems to be UTF-16 without its mark"
    return next((mend for begins, mend in _NO_JSON.items() if begin.startswith(begins)), None)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        double = next(name for name, count in counts.items() if count > 1)
        raise InvalidGraph(
            f"the graph says {printable(double)} twice in one object; all but the last would "
            "be lost",
            field=_FIELD,
            advice="give each graph node its own id, and each input one value",
        )
    return found


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
            field=_FIELD,
            graph_node=graph_node,
            advice=_mend(found),
        )


def _mend(found: Any) -> str | None:
    if not isinstance(found, dict):
        return "take it out if it is no graph node"
    if "class_type" in found:
        return None
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


def _too_deep() -> InvalidGraph:
    return InvalidGraph("the graph is nested too deep to be read", field=_FIELD)
