"""Seconds that graph nodes take on this node: by their place in a shape, else by class, else a guess. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, NamedTuple

from producer.contract.classes.shapes import places_of
from producer.contract.graph.graph import Graph, literal
from worker.scheduling.samples import Samples

#: Shapes, graph nodes of each, and classes that are remembered; a node rarely meets more within an hour.
_SHAPES, _PLACES, _CLASSES = 256, 256, 1024
#: Hex digits of a place: within one shape they tell graph nodes apart.
_PLACE_DIGITS: Final = 8
#: What is guessed of a class that nobody has seen run, s: a step of a sampler, and all else.
_STEP_S, _ELSE_S = 0.5, 0.25
#: Steps of a sampler that does not say how many it takes.
_USUAL_STEPS: Final = 20
_MOST_STEPS: Final = 10_000


class NodeKind(NamedTuple):
    """What two graph nodes share that take about as long.

    Args:
        place: in the shape of its graph.
        steps: how many it takes; 1 where its inputs name none.
    """

    place: str
    class_type: str
    steps: int = 1


def kinds_of(graph: Graph) -> dict[str, NodeKind]:
    """Return the kind of each graph node; *graph* is cut, its links sound."""
    return {
        graph_node: NodeKind(
            place[:_PLACE_DIGITS], graph[graph_node]["class_type"], _steps(graph, graph_node)
        )
        for graph_node, place in places_of(graph).items()
    }


class NodeTimes:
    """Seconds of graph nodes; called from any thread."""

    def __init__(self) -> None:
        self._of_shape: OrderedDict[str, Samples] = OrderedDict()
        self.steps = Samples(_CLASSES)  #: One step of a class.

    def places(self, shape: str) -> Samples:
        """Return what is known of the graph nodes of a shape, by their places in it."""
        found = self._of_shape.setdefault(shape, Samples(_PLACES))
        self._of_shape.move_to_end(shape)
        if len(self._of_shape) > _SHAPES:
            self._of_shape.popitem(last=False)
        return found

    def on_measured(
        self, shape: str, kinds: Mapping[str, NodeKind], seconds: Mapping[str, float]
    ) -> None:
        """Add how long graph nodes of one render took.

        Args:
            seconds: of each graph node that ran, or was passed over; not of those that were cached.
        """
        places = self.places(shape)
        for graph_node, took_s in seconds.items():
            if kind := kinds.get(graph_node):
                places.add(kind.place, took_s)
                self.steps.add(kind.class_type, took_s / kind.steps)

    def expected_s(self, kinds: Mapping[str, NodeKind]) -> float | None:
        """Return how long a graph takes by its classes; None if one of them was never seen, or there are none."""
        known = [self._by_class(kind) for kind in kinds.values()]
        seconds = [took_s for took_s in known if took_s is not None]
        return sum(seconds) if seconds and len(seconds) == len(known) else None

    def weights(self, shape: str, kinds: Mapping[str, NodeKind]) -> dict[str, float]:
        """Return the seconds that each graph node is expected to take, guessed where need be."""
        places = self.places(shape)
        return {
            graph_node: _first(places.usual_s(kind.place), self._by_class(kind), _guess_s(kind))
            for graph_node, kind in kinds.items()
        }

    def _by_class(self, kind: NodeKind) -> float | None:
        step_s = self.steps.usual_s(kind.class_type)
        return None if step_s is None else step_s * kind.steps


def _steps(graph: Graph, graph_node: str) -> int:
    steps = literal(graph[graph_node]["inputs"].get("steps"))
    is_number = isinstance(steps, int) and not isinstance(steps, bool)
    return steps if is_number and 1 <= steps <= _MOST_STEPS else 1


def _guess_s(kind: NodeKind) -> float:
    if "sampler" in kind.class_type.lower() and "select" not in kind.class_type.lower():
        return _STEP_S * (kind.steps if kind.steps > 1 else _USUAL_STEPS)
    return _ELSE_S * kind.steps if kind.steps > 1 else _ELSE_S


def _first(*known: float | None) -> float:
    return next((seconds for seconds in known if seconds is not None), 0.0)
