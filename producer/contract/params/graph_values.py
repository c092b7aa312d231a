"""Values that stand in a graph, taken out of it and set again: what a graph keeps without them is a template. Pure.

An input whose value was taken out holds null, which params of every kind replace as they are: so setting the
values as params makes the same graph again, to the type of each value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property
from typing import Any, Final, NamedTuple

from producer.contract.classes.links import is_link, links_of
from producer.contract.errors import InvalidParam
from producer.contract.graph.extra_data import is_secret
from producer.contract.graph.graph import Graph
from producer.contract.params.addresses import Addresses

#: Characters of an address that is surely found.
_LONGEST_ADDRESS: Final = 1_000


class GraphValue(NamedTuple):
    """A value in a graph: an input's, which is neither a link nor null."""

    graph_node: str
    input: str
    value: Any

    @property
    def address(self) -> str:
        """By which it is set again."""
        return f"{self.graph_node}.{self.input}"


class GraphValues:
    """The values of one graph that can be taken out of it.

    Left out are values whose address names another input, or none, and credentials: a record is shown to
    people, a template is not.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._secret_sources = {
            link.source
            for found in graph.values()
            for link in links_of(found)
            if is_secret(link.input, None)
        }

    def __iter__(self) -> Iterator[GraphValue]:
        """Yield them in the graph's order."""
        for graph_node, found in self._graph.items():
            if graph_node in self._secret_sources:
                continue
            for name, value in found["inputs"].items():
                if value is None or is_link(value) or is_secret(name, value):
                    continue
                one = GraphValue(graph_node, name, value)
                if self._is_found(one):
                    yield one

    def _is_found(self, one: GraphValue) -> bool:
        address = one.address
        if len(address) > _LONGEST_ADDRESS or not one.graph_node:
            return False
        if address.count(".") == 1:  # then it can be read in one way only, and ids come first
            return True
        try:
            return self._addresses.find(address) == (one.graph_node, one.input)
        except InvalidParam:
            return False

    @cached_property
    def _addresses(self) -> Addresses:
        return Addresses(self._graph)


def without_values(graph: Graph, values: Collection[GraphValue]) -> Graph:
    """Return *graph* with null in place of these of its values; changed graph nodes are copies.

    `params.set_params` with `{value.address: value.value}` makes it again.
    """
    template = dict(graph)
    for one in values:
        if template[one.graph_node] is graph[one.graph_node]:
            found = graph[one.graph_node]
            template[one.graph_node] = {**found, "inputs": dict(found["inputs"])}
        template[one.graph_node]["inputs"][one.input] = None
    return template
