"""Graphs as text: decoded and parsed strictly; what is refused is told what it is instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from producer.contract.errors import InvalidGraph
from producer.contract.graph.embedded_graphs import media_kind
from producer.contract.graph.envelopes import EXPORT
from producer.contract.graph.json_values import printable
from producer.contract.graph.named_graphs import GraphLike
from producer.contract.json_texts import said_twice

FIELD: Final = "graph"

_READ_PICTURES: Final = "of pictures, PNG, WEBP and JPEG that ComfyUI saved are read"
#: Beginnings of files that are no JSON → the advice.
_PRINTED: Final = "it is what Python prints; write it by json.dumps"
_NO_JSON: Final = {
    "<": f"it is a page of a web site, or XML: {EXPORT}",
    "```": "take the lines with ``` out",
    "{'": _PRINTED,
    "[{'": _PRINTED,
}


def text_of(data: GraphLike, most: int) -> str:
    """Return a graph as text; raises InvalidGraph if it has more than *most* bytes, or is none."""
    if isinstance(data, Mapping | list):
        data = _dumped(data)
    if not isinstance(data, bytes | str):
        raise InvalidGraph(
            f"expected a graph as bytes, text or an object, not {type(data).__name__}", field=FIELD
        )
    check_size(
        len(data) if isinstance(data, bytes) else len(data.encode("utf-8", "surrogatepass")), most
    )
    return decoded(data) if isinstance(data, bytes) else data.removeprefix("\ufeff")


def decoded(data: bytes) -> str:
    """Return the text of a file; raises InvalidGraph for what is none."""
    if kind := media_kind(data):
        raise InvalidGraph(
            f"this is {kind}, in which no graph is looked for", field=FIELD, advice=_READ_PICTURES
        )
    # Editors on Windows write a byte order mark, and its old shells UTF-16.
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as exc:
        raise InvalidGraph(
            f"the graph is not UTF-8 text: byte 0x{data[exc.start]:02x} at offset {exc.start}",
            field=FIELD,
            advice=f"submit the graph's JSON, saved as UTF-8; {_READ_PICTURES}",
        ) from exc


def _dumped(data: Mapping[str, Any] | list[Any]) -> str:
    try:
        plain = dict(data) if isinstance(data, Mapping) else data
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError) as exc:
        raise InvalidGraph(f"the graph is no JSON document: {exc}", field=FIELD) from exc
    except RecursionError as exc:
        raise _too_deep() from exc


def loaded(text: str) -> Any:
    """Return what JSON says; raises InvalidGraph, which tells what the text is instead, or what it says twice."""
    try:
        return json.loads(text, object_pairs_hook=_without_doubles)
    except json.JSONDecodeError as exc:
        raise InvalidGraph(
            f"the graph is not JSON: {exc.msg.removesuffix(' at')} at line {exc.lineno}, column {exc.colno}",
            field=FIELD,
            advice=_what_it_is(text, exc),
        ) from exc
    except RecursionError as exc:
        raise _too_deep() from exc
    except ValueError as exc:  # a number of more than 4,300 digits
        raise InvalidGraph(f"the graph is not JSON we can read: {exc}", field=FIELD) from exc


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
        raise InvalidGraph(
            f"the graph says {printable(said_twice(pairs))} twice in one object; all but the last would "
            "be lost",
            field=FIELD,
            advice="give each graph node its own id, and each input one value",
        )
    return found


def check_size(size: int, max_bytes: int) -> None:
    """Raise InvalidGraph, naming the limit, if a graph has more than *max_bytes*."""
    if size > max_bytes:
        raise InvalidGraph(
            f"the graph has {size:,} bytes; the limit is {max_bytes:,} bytes "
            "(COMFYFLEET_MAX_GRAPH_BYTES)",
            field=FIELD,
            advice="hand pictures in as input files",
        )


def _too_deep() -> InvalidGraph:
    return InvalidGraph("the graph is nested too deep to be read", field=FIELD)
