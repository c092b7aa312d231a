"""Envelopes: documents that hold a graph and other keys; finds the graph and what is kept beside it.

| from | shape |
| --- | --- |
| ComfyUI, `POST /prompt` | `{"prompt": GRAPH, "client_id": ..., "extra_data": {...}}` |
| the editor's `graphToPrompt` | `{"workflow": ..., "output": GRAPH}` |
| RunPod's worker-comfyui | `{"input": {"workflow": GRAPH, "images": [...], "comfy_org_api_key": ...}}` |
| SaladTechnologies' comfyui-api | `{"prompt": GRAPH, "webhook": ..., "convert_output": ...}` |
| ViewComfy, ComfyDeploy and others | a key of their own: `workflowApiJSON`, `workflow_api`, `[GRAPH]` |

No list of such shapes is complete, so the graph is searched for: it may be anywhere, but only once,
and each key beside it is either kept, or known to change nothing, or refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from producer.contract.errors import InvalidGraph
from producer.contract.graph.json_values import kind_of, printable

_FIELD: Final = "graph"

EXPORT: Final = (
    "in ComfyUI choose Workflow → Export (API) and submit that file; in older versions turn on "
    "the dev mode options in the settings, then use Save (API Format)"
)

#: Levels of objects and lists that are searched.
_MAX_DEPTH: Final = 5
#: Members of one object or list that are searched: envelopes have few; what has more is data.
_MOST_PARTS: Final = 1_000

#: Keys beside a graph that do not change what is rendered: ids, order, names, versions.
_HARMLESS: Final = frozenset(
    {
        *("client_id", "prompt_id", "number", "front", "id", "name", "title", "description"),
        *("version", "file_type", "file_version", "created_at", "updated_at", "api_nodes"),
    }
)

#: Keys of credentials for partner nodes, as envelopes spell them → as `extra_data` does.
_KEYS: Final = {
    "comfy_org_api_key": "api_key_comfy_org",
    **{name: name for name in ("api_key_comfy_org", "auth_token_comfy_org")},
}

#: Advice for keys of envelopes that would change what is rendered, and are refused.
_INSTEAD: Final = {
    "images": "hand pictures in as input files: --input NODE.INPUT=FILE",
    "inputs": "set values with --set ADDRESS=VALUE and hand files in with --input",
    "params": "set values with --set ADDRESS=VALUE",
    "overrides": "set values with --set ADDRESS=VALUE",
    "workflow_inputs": "set values with --set ADDRESS=VALUE",
    "partial_execution_targets": "submit a graph that has these outputs only",
    "webhook": "ComfyFleet calls nobody back; follow the job by its events",
    "webhook_v2": "ComfyFleet calls nobody back; follow the job by its events",
    "s3": "files go to the fleet's own bucket",
}
_TAKE_OUT: Final = "take it out if the job does not need it"

#: Keys of envelopes for the graph, at the top level or in `input`. Not deeper: there a graph node may
#: have an input `prompt`.
_GRAPH_KEYS: Final = ("prompt", "workflow", "output", "workflow_api", "workflowApiJSON")


class Unwrapped(NamedTuple):
    """A graph as it was submitted, and the `extra_data` of its envelope; neither is checked."""

    graph: dict[str, Any]
    extra_data: dict[str, Any]


class _Found(NamedTuple):
    value: Any
    path: tuple[str | int, ...]


def unwrap(document: Any) -> Unwrapped:
    """Find the graph in *document*, parsed JSON.

    An editor's `workflow` beside the graph becomes `extra_pnginfo.workflow`, where the editor itself
    puts it when it posts both.

    Raises:
        InvalidGraph: there is none, or more than one, or a key beside it would be lost; the message
            gives the place in the document.
    """
    if _is_graph(document):
        return Unwrapped(document, {})
    graphs = [found for found in _inside(document) if _is_graph(found.value)]
    if graphs and all(_says_again(found, graphs[0]) for found in graphs[1:]):
        return Unwrapped(graphs[0].value, _beside(document, graphs[0].path))
    if graphs:
        places = ", ".join(_place(found.path) for found in graphs[:4])
        more = f" and {len(graphs) - 4:,} more places" if len(graphs) > 4 else ""  # noqa: PLR2004
        raise InvalidGraph(
            f"there are {len(graphs):,} graphs in the document, at {places}{more}; a job has one",
            field=_FIELD,
            advice="submit them one by one",
        )
    return Unwrapped(_without_graph_nodes(document), {})


def is_workflow(value: Any) -> bool:
    """Tell whether *value* is a workflow as the editor saves it: `nodes` and `links`."""
    return isinstance(value, dict) and isinstance(value.get("nodes"), list)


def is_graph_node(value: Any) -> bool:
    """Tell whether *value* is an object with a text `class_type`."""
    return isinstance(value, dict) and isinstance(value.get("class_type"), str)


def _is_graph(value: Any) -> bool:
    return isinstance(value, dict) and any(map(is_graph_node, value.values()))


def _says_again(found: _Found, first: _Found) -> bool:
    """Tell whether another key holds the same graph again; equal graphs in a list are separate jobs."""
    return found.value == first.value and all(isinstance(step, str) for step in found.path)


def _inside(document: Any) -> Iterator[_Found]:
    """Yield every object and list inside *document*, not descending into graphs and workflows."""
    ahead = [_Found(document, ())]
    while ahead:
        found = ahead.pop()
        if found.path:
            yield found
        is_end = _is_graph(found.value) or is_workflow(found.value)
        if is_end or len(found.path) >= _MAX_DEPTH:
            continue
        ahead += [
            _Found(value, (*found.path, key))
            for key, value in reversed(list(islice(_parts(found.value), _MOST_PARTS)))
            if isinstance(value, dict | list) and key != "extra_data"
        ]


def _parts(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _beside(document: Any, path: tuple[str | int, ...]) -> dict[str, Any]:
    """Return the `extra_data` made of the keys beside the graph at *path*; raises for keys that would be lost."""
    extra: dict[str, Any] = {}
    parts: list[_Found] = []
    level: Any = document
    for depth, step in enumerate(path):
        parts += [_Found(part, (*path[:depth], key)) for key, part in _parts(level) if key != step]
        level = level[step]
    # The document's own extra_data takes precedence over keys that become part of it.
    for part in sorted(parts, key=lambda part: part.path[-1] != "extra_data"):
        _keep(extra, part.path, part.value, graph=level, graph_at=path)
    return extra


def _keep(
    extra: dict[str, Any],
    place: tuple[str | int, ...],
    value: Any,
    *,
    graph: dict[str, Any],
    graph_at: tuple[str | int, ...],
) -> None:
    name = place[-1]
    if value in (None, "", [], {}, False) or name in _HARMLESS or value == graph:
        return
    if name == "extra_data":
        if not isinstance(value, dict):
            raise InvalidGraph(f"extra_data is {kind_of(value)}, not an object", field="extra_data")
        extra.update({key: part for key, part in value.items() if key not in extra})
    elif is_workflow(value):
        info = extra.setdefault("extra_pnginfo", {})
        if isinstance(info, dict):
            info.setdefault("workflow", value)
    elif name in _KEYS:
        extra.setdefault(_KEYS[str(name)], value)
    else:
        raise InvalidGraph(
            f"the graph is at {_place(graph_at)}; {_place(place)} beside it would be lost",
            field=_FIELD,
            advice=f"{_INSTEAD.get(str(name), 'submit the graph alone')}; {_TAKE_OUT}",
        )


def _without_graph_nodes(document: Any) -> dict[str, Any]:
    """Return the object in which a graph was expected, or raise InvalidGraph with what is there instead."""
    graph = _where_a_graph_belongs(document)
    if place := _workflow_at(document):
        raise InvalidGraph(
            f"{place} is a workflow as the editor saves it (nodes and links), not a graph in API "
            "format",
            field=_FIELD,
            advice=EXPORT,
        )
    if place := _text_at(document):
        raise InvalidGraph(
            f"{place} holds the graph as text, not as JSON",
            field=_FIELD,
            advice="submit what that text says as a file of its own",
        )
    if not isinstance(graph.value, dict):
        what = _place(graph.path) or "this"
        raise InvalidGraph(
            f"expected a graph, an object of graph nodes by id; {what} is {kind_of(graph.value)}",
            field=_FIELD,
            advice=EXPORT,
        )
    if not graph.value:
        raise InvalidGraph("the graph is empty: it has no graph nodes", field=_FIELD)
    return graph.value


def _where_a_graph_belongs(document: Any) -> _Found:
    levels = [_Found(document, ())]
    if isinstance(document, dict) and not is_graph_node(document.get("input")):
        levels.append(_Found(document.get("input"), ("input",)))
    for level in levels:
        for key in _GRAPH_KEYS if isinstance(level.value, dict) else ():
            if key in level.value and not is_graph_node(level.value[key]):
                return _Found(level.value[key], (*level.path, key))
    return levels[0]


def _workflow_at(document: Any) -> str | None:
    if is_workflow(document):
        return "this"
    return next((_place(one.path) for one in _inside(document) if is_workflow(one.value)), None)


def _text_at(document: Any) -> str | None:
    if _is_graph_text(document):
        return "this"
    levels = [_Found(document, ()), *_inside(document)]
    return next(
        (
            _place((*level.path, key))
            for level in levels
            for key, value in _parts(level.value)
            if _is_graph_text(value)
        ),
        None,
    )


def _is_graph_text(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip().startswith("{") and '"class_type"' in value


def _place(path: tuple[str | int, ...]) -> str:
    """Write a path as `input.workflow` or `workflows[0].workflowApiJSON`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{printable(step, most=40)}"
    return text.removeprefix(".")
