"""Links: which graph node takes what from which other one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, NamedTuple

from producer.contract.catalog import Catalog
from producer.contract.errors import InvalidGraph
from producer.contract.graphs import Graph, GraphNode, describe

_LITERAL: Final = 'a list that is no link is written {"__value__": [...]}'


class Link(NamedTuple):
    """One input that takes the output *slot* of the graph node *source*."""

    input: str
    source: str
    slot: int


def is_link(value: Any) -> bool:
    """Tell whether ComfyUI follows *value*: a list of a text and a number.

    As in ComfyUI 0.3.64 and 0.33.0, `comfy_execution.graph_utils`; the number may be anything
    there, so what is followed is more than what is sound.
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
    """Return *ids* and everything they take from, directly or not."""
    found: set[str] = set()
    ahead = list(ids)
    while ahead:
        graph_node = ahead.pop()
        if graph_node not in found and graph_node in graph:
            found.add(graph_node)
            ahead.extend(link.source for link in links_of(graph[graph_node]))
    return found


def check_links(graph: Graph, catalog: Catalog | None = None) -> None:
    """Check that each link points at an output that exists, and that no path is a circle.

    Undeclared inputs and branches that no output needs are checked, too: a dangling link there
    passes ComfyUI's validation and then ends its executing thread for good (0.3.64, 0.33.0).

    Args:
        catalog: tells how many outputs a class has; without it any slot from 0 on is taken.

    Raises:
        InvalidGraph: naming the graph node and the input.
    """
    for graph_node, found in graph.items():
        for name, value in found["inputs"].items():
            if complaint := _complaint(graph, value, catalog):
                raise InvalidGraph(
                    f"{describe(graph, graph_node)}, input {name}: {complaint}",
                    field="graph",
                    graph_node=graph_node,
                    advice=_LITERAL,
                )
    _check_circles(graph)


def _complaint(graph: Graph, value: Any, catalog: Catalog | None) -> str | None:
    if _has_number_for_id(graph, value):
        return f"links to {value[0]} as a number; an id is text: {json.dumps([str(value[0]), 0])}"
    if not is_link(value):
        return None
    source, slot = value
    if source not in graph:
        return f"links to graph node {ascii(source)[1:-1]}, which is not in the graph"
    if isinstance(slot, bool | float) or slot < 0:
        return (
            f"takes output {json.dumps(slot)} of {describe(graph, source)}; "
            "outputs are counted 0, 1, 2, ..."
        )
    outputs = catalog.outputs_of(graph[source]["class_type"]) if catalog else None
    if outputs is not None and slot >= outputs:
        return (
            f"takes output {slot} of {describe(graph, source)}, which has {outputs}, counted from 0"
        )
    return None


def _has_number_for_id(graph: Graph, value: Any) -> bool:
    # ComfyUI looks such an id up as it is, finds nothing and answers with a traceback.
    return (
        isinstance(value, list)
        and len(value) == 2  # noqa: PLR2004
        and type(value[0]) is int
        and type(value[1]) is int
        and str(value[0]) in graph
    )


def _check_circles(graph: Graph) -> None:
    sources = {
        graph_node: [link.source for link in links_of(found)] for graph_node, found in graph.items()
    }
    try:
        TopologicalSorter(sources).prepare()
    except CycleError as exc:
        circle: list[str] = exc.args[1]
        raise InvalidGraph(
            f"the links run in a circle: {' → '.join(circle)}; none of these can be first",
            field="graph",
            graph_node=circle[0],
        ) from exc
