"""A graph's shape: what decides how long it renders, whatever its seed and its texts are. Pure.

Jobs of one shape take about as long on one kind of card. A backend hands in whole graphs, with seed
and text inside, so each graph is another one; their shape is one.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any, Final

from producer.contract.classes.cost_inputs import cost_of, is_size
from producer.contract.classes.links import links_of
from producer.contract.graph.graph import Graph, GraphNode, literal
from producer.contract.graph.json_values import canonical

#: Goes into every digest: raised when the same graph gets another shape than before.
_VERSION: Final = 1
_BYTES: Final = 8


def shape_of(graph: Graph) -> str:
    """Return the shape of *graph* as 16 hex digits, in time linear in its size.

    Equal for graphs that differ in the ids of their graph nodes, in the order of anything, in
    titles, and in values that decide no cost; see `cost_inputs`. What an input file holds is not
    known, so a larger picture has the same shape.

    Args:
        graph: cut to what its outputs need, its links sound and without circles.
    """
    return _digest([_VERSION, *sorted(places_of(graph).values())])


def places_of(graph: Graph) -> dict[str, str]:
    """Return of each graph node its place in the shape, 16 hex digits: equal in all graphs of one shape.

    Graph nodes that nothing tells apart have one place; see `shape_of`, also for what *graph* is.
    """
    order = _order(graph)
    wanted = _number_sources(graph, order)
    # From a graph node's ancestors first, then from those that take from it as well, so that it
    # makes a difference which of two alike something is linked to.
    own: dict[str, str] = {}
    for graph_node in order:
        own[graph_node] = _digest(
            _described(graph[graph_node], own, is_number_wanted=graph_node in wanted)
        )
    takers: defaultdict[str, list[Any]] = defaultdict(list)
    places: dict[str, str] = {}
    for graph_node in reversed(order):
        found = _digest([own[graph_node], *sorted(takers.pop(graph_node, []))])
        places[graph_node] = found
        for link in links_of(graph[graph_node]):
            takers[link.source].append([found, link.input, link.slot])
    return places


def _order(graph: Graph) -> Sequence[str]:
    sources = {
        graph_node: [link.source for link in links_of(found) if link.source in graph]
        for graph_node, found in graph.items()
    }
    return tuple(TopologicalSorter(sources).static_order())


def _described(
    found: GraphNode, sources: Mapping[str, str], *, is_number_wanted: bool
) -> list[Any]:
    links = [[link.input, sources.get(link.source, ""), link.slot] for link in links_of(found)]
    linked = {name for name, _, _ in links}
    values = [
        [name, cost]
        for name, value in found["inputs"].items()
        if name not in linked
        and (cost := cost_of(name, literal(value), is_number_wanted=is_number_wanted)) is not None
    ]
    return [found["class_type"], sorted(links), sorted(values)]


def number_sources(graph: Graph) -> Collection[str]:
    """Return the graph nodes that hand a number to an input that decides cost.

    Those are a PrimitiveInt that a width is linked to, and what such a number is computed from:
    graph nodes that hold a number, or compute with those of others of them.

    Args:
        graph: its links without circles.
    """
    return _number_sources(graph, _order(graph))


def _number_sources(graph: Graph, order: Sequence[str]) -> Collection[str]:
    # A PrimitiveInt that a width is linked to, and what such a number is computed from.
    numbers: set[str] = set()
    for graph_node in order:
        sources = [link.source for link in links_of(graph[graph_node])]
        if (
            all(source in numbers for source in sources)
            if sources
            else _has_number(graph[graph_node])
        ):
            numbers.add(graph_node)
    wanted: set[str] = set()
    for graph_node in reversed(order):
        for link in links_of(graph[graph_node]):
            if link.source in numbers and (graph_node in wanted or is_size(link.input)):
                wanted.add(link.source)
    return wanted


def _has_number(found: GraphNode) -> bool:
    values = map(literal, found["inputs"].values())
    return any(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _digest(content: list[Any]) -> str:
    return hashlib.blake2b(canonical(content).encode(), digest_size=_BYTES).hexdigest()
