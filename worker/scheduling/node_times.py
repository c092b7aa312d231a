"""Seconds that graph nodes take on this node: by their place in a shape, else by class, else a guess. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from producer.contract.classes.shapes import places_of
from producer.contract.graph.graph import Graph, literal

#: Newest samples of one graph node that count. The lower middle one does: the first has loaded a model.
_SAMPLES: Final = 5
#: Shapes and classes remembered; a node rarely meets more within an hour.
_SHAPES, _CLASSES = 256, 1024
#: What is guessed of a class that nobody has seen run, s: a step of a sampler, and all else.
_STEP_S, _ELSE_S = 0.5, 0.25
#: Steps of a sampler that does not say how many it takes.
_USUAL_STEPS: Final = 20
_MOST_STEPS: Final = 10_000

_Samples = deque[float]


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
        graph_node: NodeKind(place, graph[graph_node]["class_type"], _steps(graph, graph_node))
        for graph_node, place in places_of(graph).items()
    }


class NodeTimes:
    """Samples of seconds; called from any thread, a torn sample harms nobody."""

    def __init__(self) -> None:
        self._of_shape: OrderedDict[str, dict[str, _Samples]] = OrderedDict()
        self._step_of_class: OrderedDict[str, _Samples] = OrderedDict()

    def on_measured(
        self, shape: str, kinds: Mapping[str, NodeKind], seconds: Mapping[str, float]
    ) -> None:
        """Add how long graph nodes of one render took.

        Args:
            seconds: of each graph node that ran, or was passed over; not of those that were cached.
        """
        places = self._of_shape.setdefault(shape, {})
        for graph_node, took_s in seconds.items():
            if kind := kinds.get(graph_node):
                _add(places, kind.place, took_s)
                _add(self._step_of_class, kind.class_type, took_s / kind.steps)
                self._step_of_class.move_to_end(kind.class_type)
        self._of_shape.move_to_end(shape)
        _shrink(self._of_shape, _SHAPES)
        _shrink(self._step_of_class, _CLASSES)

    def expected_s(self, kinds: Mapping[str, NodeKind]) -> float | None:
        """Return how long a graph takes by its classes; None if one of them was never seen, or there are none."""
        known = [self._by_class(kind) for kind in kinds.values()]
        seconds = [took_s for took_s in known if took_s is not None]
        return sum(seconds) if seconds and len(seconds) == len(known) else None

    def weights(self, shape: str, kinds: Mapping[str, NodeKind]) -> dict[str, float]:
        """Return the seconds that each graph node is expected to take, guessed where need be."""
        places = self._of_shape.get(shape, {})
        return {
            graph_node: _usual(places[kind.place])
            if kind.place in places
            else _first(self._by_class(kind), _guess_s(kind))
            for graph_node, kind in kinds.items()
        }

    def _by_class(self, kind: NodeKind) -> float | None:
        samples = self._step_of_class.get(kind.class_type)
        return _usual(samples) * kind.steps if samples else None


def _steps(graph: Graph, graph_node: str) -> int:
    steps = literal(graph[graph_node]["inputs"].get("steps"))
    is_number = isinstance(steps, int) and not isinstance(steps, bool)
    return steps if is_number and 1 <= steps <= _MOST_STEPS else 1


def _guess_s(kind: NodeKind) -> float:
    if "sampler" in kind.class_type.lower() and "select" not in kind.class_type.lower():
        return _STEP_S * (kind.steps if kind.steps > 1 else _USUAL_STEPS)
    return _ELSE_S * kind.steps if kind.steps > 1 else _ELSE_S


def _first(known: float | None, guessed: float) -> float:
    return guessed if known is None else known


def _usual(samples: _Samples) -> float:
    return sorted(samples)[(len(samples) - 1) // 2]


def _add(kept: dict[str, _Samples], key: str, seconds: float) -> None:
    kept.setdefault(key, deque(maxlen=_SAMPLES)).append(seconds)


def _shrink(kept: OrderedDict[str, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
