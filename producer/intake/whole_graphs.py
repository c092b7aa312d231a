"""Whole graphs: splits a graph that has a job's seed and text inside into a template and the job's own values.

A backend fills a graph in and hands it in whole, a job a graph. Stored as they come, each were a template of its
own. Which values are the job's cannot be told from one graph alone, so a process remembers which have differed
among graphs of the same ids and classes; of the first ones it takes those that look like a job's own. A template
that was split otherwise costs room, and nothing else: template and values always make the graph again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, NamedTuple

from producer.contract.classes.cost_inputs import is_of_one_job
from producer.contract.graph.graph import Graph, literal
from producer.contract.graph.json_values import canonical
from producer.contract.params.graph_values import GraphValue, GraphValues, without_values

#: Graphs after which a value that has never differed is taken for one of the template.
_LEARNT_AFTER: Final = 8
#: Kinds of graphs that are remembered, and values of one of them.
_KINDS: Final = 64
_MOST_VALUES: Final = 2_000
#: Characters of one value, and of all values of a job as JSON; a record is read whole by everybody, a template once
#: by a node. Beyond that, a picture written as text stays in the template.
_LONGEST_VALUE: Final = 16_000
_LONGEST_VALUES: Final = 32_000


class Split(NamedTuple):
    """A graph as it is stored: `set_params(template, values)` makes it again."""

    template: Graph
    values: dict[str, Any]


@dataclass
class _Kind:
    """What is known of the graphs that have the same ids and classes.

    Args:
        seen: how many there were.
        last: by address a hash of the value in the last one; small, and nothing that can be read.
        differing: addresses of values that have differed.
    """

    seen: int = 0
    last: dict[str, int] = field(default_factory=dict)
    differing: set[str] = field(default_factory=set)


class GraphSplitter:
    """Splits graphs, and remembers what differed among those before. It may be used by many threads."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[int, _Kind] = OrderedDict()
        self._lock = Lock()

    def split(self, graph: Graph, *, needed: Collection[str], has_params: bool) -> Split:
        """Return *graph* in two parts.

        Args:
            needed: the graph nodes that its outputs need.
            has_params: whether the job sets params in it: then what is its own is known by them, and
                only what has differed all the same is taken out.
        """
        values = [one for one in GraphValues(graph) if _is_short(one.value)]
        if len(values) > _MOST_VALUES:
            return Split(graph, {})
        differing, is_learnt = self._learn(graph, values)
        guessed = () if is_learnt or has_params else needed
        own = [
            one
            for one in values
            if one.address in differing
            or (one.graph_node in guessed and is_of_one_job(one.input, literal(one.value)))
        ]
        taken = {one.address: one.value for one in own}
        if len(canonical(taken)) > _LONGEST_VALUES:
            return Split(graph, {})
        return Split(without_values(graph, own), taken)

    def _learn(self, graph: Graph, values: list[GraphValue]) -> tuple[frozenset[str], bool]:
        """Return the addresses of values that have differed so far, and whether there were many graphs."""
        # By repr 1, 1.0 and True are three values.
        hashes = {one.address: hash(repr(one.value)) for one in values}
        kind = hash(tuple((id_, found["class_type"]) for id_, found in sorted(graph.items())))
        with self._lock:
            known = self._kinds.setdefault(kind, _Kind())
            self._kinds.move_to_end(kind)
            if len(self._kinds) > _KINDS:
                self._kinds.popitem(last=False)
            if known.seen:
                known.differing.update(
                    address
                    for address in hashes.keys() | known.last.keys()
                    if hashes.get(address) != known.last.get(address)
                )
            known.seen += 1
            known.last = hashes
            return frozenset(known.differing), known.seen > _LEARNT_AFTER


def _is_short(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_VALUE
    return not isinstance(value, list | dict) or len(repr(value)) <= _LONGEST_VALUE
