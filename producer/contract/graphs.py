"""A ComfyUI graph in API format: read it, check its shape, name its parts, hash it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, NotRequired, TypedDict

from producer.contract.errors import InvalidGraph
from producer.contract.json_values import find_flaw, kind_of

_FIELD: Final = "graph"

_EXPORT: Final = (
    "in ComfyUI choose Workflow → Export (API) and submit that file; in older versions turn on "
    "the dev mode options in the settings, then use Save (API Format)"
)


class GraphNode(TypedDict):
    """One step of a graph, as `POST /prompt` takes it.

    An input is a JSON value, or a link `[graph node id, output slot]`.
    """

    class_type: str
    inputs: dict[str, Any]
    _meta: NotRequired[dict[str, Any]]  # the editor's; `title` serves as an address


Graph = dict[str, GraphNode]


def parse_graph(data: bytes | str | Mapping[str, Any], *, max_bytes: int) -> Graph:
    """Read a graph, bare or in the envelope `{"client_id": ..., "prompt": graph}`.

    Whatever the graph nodes hold is kept as it came. The shape is checked for every graph
    node, wanted by an output or not: ComfyUI (0.3.64 and 0.33.0, `POST /prompt`) takes one
    without inputs and then never executes anything again.

    Raises:
        InvalidGraph: it is no such thing; the message says what it is instead, and where.
    """
    document = _load(_text(data, max_bytes))
    graph = _unwrapped(document)
    for graph_node, found in graph.items():
        _check_shape(graph_node, found)
    return graph


def to_bytes(graph: Graph) -> bytes:
    """Write *graph* as canonical JSON: sorted keys, no blanks, UTF-8."""
    return _compact(graph, sort_keys=True).encode()


def template_id(graph: Graph) -> str:
    """Return the sha256 of the canonical JSON, as 64 hex digits: a template's name."""
    return hashlib.sha256(to_bytes(graph)).hexdigest()


def title_of(graph_node: GraphNode) -> str | None:
    """Return the title that the editor shows, if the export has one."""
    meta: Any = graph_node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return title if isinstance(title, str) and title else None


def describe(graph: Graph, graph_node: str) -> str:
    """Name a graph node for a message: `graph node 6 (CLIPTextEncode "Positive Prompt")`."""
    found = graph[graph_node]
    title = title_of(found)
    shown = f" {_compact(title)}" if title and title != found["class_type"] else ""
    return f"graph node {_printable(graph_node)} ({found['class_type']}{shown})"


def literal(value: Any) -> Any:
    """Unwrap `{"__value__": x}`, which is how a graph writes a list that is no link."""
    if isinstance(value, dict) and "__value__" in value:
        return value["__value__"]
    return value


def _text(data: bytes | str | Mapping[str, Any], max_bytes: int) -> str:
    if isinstance(data, Mapping):
        data = _dumped(data)
    size = len(data) if isinstance(data, bytes) else len(data.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        raise InvalidGraph(
            f"the graph has {size:,} bytes; the limit is {max_bytes:,} bytes",
            field=_FIELD,
            advice="hand pictures in as input files; COMFYFLEET_MAX_GRAPH_BYTES sets the limit",
        )
    return _decoded(data) if isinstance(data, bytes) else data.removeprefix("\ufeff")


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")  # editors on Windows begin a file with a mark
    except UnicodeDecodeError as exc:
        raise InvalidGraph(
            f"the graph is not UTF-8 text: byte 0x{data[exc.start]:02x} at offset {exc.start}",
            field=_FIELD,
            advice="submit the graph's JSON, saved as UTF-8; a picture or an archive is none",
        ) from exc


def _dumped(data: Mapping[str, Any]) -> str:
    try:
        return _compact(dict(data))
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
        ) from exc
    except RecursionError as exc:
        raise _too_deep() from exc
    except ValueError as exc:  # a number of more than 4,300 digits
        raise InvalidGraph(f"the graph is not JSON we can read: {exc}", field=_FIELD) from exc


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise InvalidGraph(
            f"the graph says {_printable(double)} twice in one object; all but the last would "
            "be lost",
            field=_FIELD,
            advice="give each graph node its own id, and each input one value",
        )
    return found


def _unwrapped(document: Any) -> dict[str, Any]:
    graph = document
    if isinstance(document, dict) and "prompt" in document and not _is_node(document["prompt"]):
        graph = document["prompt"]
    if not isinstance(graph, dict):
        raise InvalidGraph(
            f"expected a graph, an object of graph nodes by id; this is {kind_of(graph)}",
            field=_FIELD,
            advice=_EXPORT,
        )
    if isinstance(graph.get("nodes"), list):
        raise InvalidGraph(
            "this is a workflow as the editor saves it (nodes and links), not a graph in API "
            "format",
            field=_FIELD,
            advice=_EXPORT,
        )
    if not graph:
        raise InvalidGraph("the graph is empty: it has no graph nodes", field=_FIELD)
    return graph


def _is_node(value: Any) -> bool:
    # A graph node may have the id "prompt", too.
    return isinstance(value, dict) and isinstance(value.get("class_type"), str)


def _check_shape(graph_node: str, found: Any) -> None:
    if complaint := _shape_complaint(found):
        raise InvalidGraph(
            f"graph node {_printable(graph_node)} {complaint}",
            field=_FIELD,
            graph_node=graph_node,
        )


def _shape_complaint(found: Any) -> str | None:
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
        return f"({class_type}) has no inputs; write {{}} if it needs none"
    if not isinstance(found["inputs"], dict):
        return f"({class_type}) has inputs that are {kind_of(found['inputs'])}, not an object"
    for name, value in found["inputs"].items():
        if flaw := find_flaw(name) or find_flaw(value):
            return f"({class_type}) has a bad value in {_printable(name)}: {flaw}"
    return None


def _flaw_beside_inputs(found: dict[str, Any]) -> str | None:
    beside = {key: value for key, value in found.items() if key != "inputs"}
    flaw = find_flaw(beside)
    return f"has a bad value beside its inputs: {flaw}" if flaw else None


def _compact(value: Any, *, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys)


def _printable(name: str) -> str:
    return name if name and name.isprintable() else ascii(name)


def _too_deep() -> InvalidGraph:
    return InvalidGraph("the graph is nested too deep to be read", field=_FIELD)
