"""Links between graph nodes: `[source id, output slot]` as an input's value; checks that they are sound."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, NamedTuple

from producer.contract.classes.catalog import Catalog
from producer.contract.errors import InvalidGraph
from producer.contract.graph.graph import Graph, GraphNode, describe
from producer.contract.graph.json_values import printable, shown

#: Graph nodes of a cycle that a message names.
_SHOWN: Final = 8
#: Slots written as text are recognised below so many digits, ids written as numbers below `_LARGE`.
_DIGITS: Final = 10
_LARGE: Final = 10**18
#: Inputs that take links only in all core classes of 0.3.64 and 0.33.0, except file loaders.
LINKED: Final = frozenset(
    {
        *("images", "image", "mask", "pixels", "samples", "latent_image", "model", "clip", "vae"),
        *("positive", "negative", "conditioning", "control_net", "upscale_model", "clip_vision"),
        *("noise", "guider", "sigmas"),
    }
)
_LOADERS: Final = ("Load", "VHS_Load")
_LITERAL: Final = 'a list that is no link is written {"__value__": [...]}'


class Link(NamedTuple):
    """The link of one input to output *slot* (from 0) of the graph node *source*."""

    input: str
    source: str
    slot: int


def is_link(value: Any) -> bool:
    """Tell whether ComfyUI takes *value* for a link: a list of a text and a number.

    As in ComfyUI 0.3.64 and 0.33.0, `comfy_execution.graph_utils`. The number may be negative, a
    float or a bool, so not every link is valid; see `check_links`.
    """
    return (
        isinstance(value, list)
        and len(value) == 2  # noqa: PLR2004 - a link is a pair
        and isinstance(value[0], str)
        and isinstance(value[1], int | float)
    )


def links_of(graph_node: GraphNode) -> Iterator[Link]:
    """Yield the links in *graph_node*, whether its class declares the input or not."""
    for name, value in graph_node["inputs"].items():
        if is_link(value):
            yield Link(name, *value)


def ancestors(graph: Graph, ids: Iterable[str]) -> set[str]:
    """Return *ids* and all graph nodes that they link to, directly or through others."""
    found: set[str] = set()
    ahead = list(ids)
    while ahead:
        graph_node = ahead.pop()
        if graph_node not in found and graph_node in graph:
            found.add(graph_node)
            ahead.extend(link.source for link in links_of(graph[graph_node]))
    return found


def check_links(graph: Graph, catalog: Catalog | None = None) -> None:
    """Check that each link refers to an existing output, and that the links form no cycle.

    Undeclared inputs and branches that no output needs are checked, too: a dangling link there
    passes ComfyUI's validation and then ends its executing thread for good (0.3.64, 0.33.0).

    Args:
        catalog: has each class's number of outputs; without it any slot from 0 on is accepted.

    Raises:
        InvalidGraph: a link is invalid; the message names the graph node and the input.
    """
    for graph_node, found in graph.items():
        for name, value in found["inputs"].items():
            complaint = _complaint(graph, value, catalog) or _bare_id(graph, found, name, value)
            if complaint:
                raise InvalidGraph(
                    f"{describe(graph, graph_node)}, input {printable(name)}: {complaint}",
                    field="graph",
                    graph_node=graph_node,
                    advice=_LITERAL if _may_be_literal(graph, value) else None,
                )
    _check_circles(graph)


def _may_be_literal(graph: Graph, value: Any) -> bool:
    """Tell whether a list that ComfyUI takes for a link may have been meant as a plain value."""
    return is_link(value) and value[0] not in graph


def _complaint(graph: Graph, value: Any, catalog: Catalog | None) -> str | None:
    if complaint := _spelling(graph, value):
        return complaint
    if not is_link(value):
        return None
    source, slot = value
    if source not in graph:
        return f"links to graph node {printable(source)}, which is not in the graph"
    if isinstance(slot, bool | float) or slot < 0:
        mend = f"; a slot is a whole number: {_link(source, int(slot))}" if _is_whole(slot) else ""
        return (
            f"takes output {shown(slot)} of {describe(graph, source)}; "
            f"outputs are counted 0, 1, 2, ...{mend}"
        )
    outputs = catalog.outputs_of(graph[source]["class_type"]) if catalog else None
    if outputs is not None and slot >= outputs:
        return (
            f"takes output {shown(slot)} of {describe(graph, source)}, which has {outputs}, "
            "counted from 0"
        )
    return None


def _spelling(graph: Graph, value: Any) -> str | None:
    """Return what is wrong with a pair that was meant as a link, but is none to ComfyUI; else None.

    With an id as a number, ComfyUI finds no such graph node and answers with a traceback; a pair
    with a slot as text is a plain list to it, on which the graph node then raises some error.
    """
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 - a link is a pair
        return None
    source, slot = value
    if type(source) is int and type(slot) is int and _id_of(source) in graph:
        return f"links to {source} as a number; an id is text: {_link(str(source), 0)}"
    is_number = isinstance(slot, str) and slot.isascii() and slot.isdigit() and len(slot) < _DIGITS
    if is_number and isinstance(source, str | int) and _id_of(source) in graph:
        return (
            f'links to output "{slot}" of graph node {printable(str(source))} as text; '
            f"a slot is a number: {_link(str(source), int(slot))}"
        )
    return None


def _bare_id(graph: Graph, found: GraphNode, name: str, value: Any) -> str | None:
    """Return the complaint about a graph node's id as text in an input that takes links only; else None."""
    if not isinstance(value, str) or name not in LINKED or value not in graph:
        return None
    if found["class_type"].startswith(_LOADERS):  # LoadImage.image is the name of a file
        return None
    return f"is the id of {describe(graph, value)} as text; a link is a pair: {_link(value, 0)}"


def _id_of(source: str | int) -> str:
    # Python's str() raises for an int of more than 4,300 digits.
    return source if isinstance(source, str) else str(source) if abs(source) < _LARGE else ""


def _link(source: str, slot: int) -> str:
    return shown([source, slot])


def _is_whole(slot: float) -> bool:
    return not isinstance(slot, bool) and math.isfinite(slot) and slot == int(slot) and slot >= 0


def _check_circles(graph: Graph) -> None:
    sources = {
        graph_node: [link.source for link in links_of(found)] for graph_node, found in graph.items()
    }
    try:
        TopologicalSorter(sources).prepare()
    except CycleError as exc:
        circle: list[str] = exc.args[1]
        raise InvalidGraph(
            f"the links run in a circle: {_circle(circle)}; none of these can be first",
            field="graph",
            graph_node=circle[0],
        ) from exc


def _circle(ids: list[str]) -> str:
    names = [printable(one, most=20) for one in ids]
    if len(names) > _SHOWN:
        names = [*names[: _SHOWN - 2], f"{len(names) - _SHOWN + 1:,} more", names[-1]]
    return " → ".join(names)
