"""Shapes of a batch's rows: one for each combination of the values that a shape depends on.

Most rows set a seed and a text, and all have one shape; with a column of sizes or models there are
a few.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final

from producer.contract.batches import RowShapes
from producer.contract.classes.cost_inputs import cost_of
from producer.contract.classes.links import is_link
from producer.contract.classes.shapes import number_sources
from producer.contract.graph.graph import Graph, literal
from producer.contract.params.addresses import Addresses

#: Shapes kept in the record of a batch, and characters of the values that one of them is found by.
#: For a row beyond them, its worker finds the shape from its graph.
_KEPT: Final = 100
_LONGEST_KEY: Final = 500


class RowShaper:
    """Finds the shapes of the rows of one batch.

    Args:
        shape_with: returns the shape of *graph* with a row's params.
        known: those of the rows that the batch has already.
    """

    def __init__(
        self,
        graph: Graph,
        addresses: Addresses,
        shape_with: Callable[[Mapping[str, Any]], str],
        known: RowShapes,
    ) -> None:
        self._graph = graph
        self._addresses = addresses
        self._shape_with = shape_with
        self._inputs: dict[str, tuple[str, Any, bool]] = {}
        self._found = dict(known.found)
        self.shapes = RowShapes(known.by, self._found)  #: Those of the rows added so far.

    def add(self, params: Mapping[str, Any]) -> None:
        """Take in the params of a row that was checked, by graph node id."""
        by = self.shapes.by
        new = [
            address
            for address, value in params.items()
            if address not in by and self._decides(address, value)
        ]
        if new:
            self.shapes = RowShapes(by.union(new), self._found)
        key = self.shapes.key(params)
        if key not in self._found and len(self._found) < _KEPT and len(key) <= _LONGEST_KEY:
            self._found[key] = self._shape_with(params)

    def _decides(self, address: str, value: Any) -> bool:
        """Tell whether a row's shape may depend on what it sets here."""
        name, present, is_number_wanted = self._inputs.get(address) or self._find(address)
        if is_link(value) or is_link(present):
            return True
        costs = (
            cost_of(name, literal(one), is_number_wanted=is_number_wanted)
            for one in (value, present)
        )
        return any(cost is not None for cost in costs)

    def _find(self, address: str) -> tuple[str, Any, bool]:
        graph_node, name = self._addresses.find(address)
        present = self._graph[graph_node]["inputs"][name]
        self._inputs[address] = name, present, graph_node in self._number_sources
        return self._inputs[address]

    @cached_property
    def _number_sources(self) -> frozenset[str]:
        return frozenset(number_sources(self._graph))
