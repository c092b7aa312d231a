"""Running means of render and turnaround times on this node; the look-ahead depth follows. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from worker.scheduling.load_times import LoadTimes
from worker.scheduling.node_times import NodeKind, NodeTimes

#: How much the newest sample counts.
_NEWEST: Final = 0.3
#: How long before the end of a render the next job is taken, s, if it is as quick as usual.
_LOOKAHEAD_S: Final = 2.0
#: The same for jobs whose inputs take long to bring: so many turnarounds.
_LOOKAHEAD_TURNAROUNDS: Final = 3.0
#: Shapes remembered, and templates; a node rarely meets more within an hour.
_KEPT: Final = 256
#: A render that takes longer than so many times the usual is not a usual one.
_UNUSUAL: Final = 2.0
#: What of a guessed time must have passed before the steps bear it out.
_EARLY: Final = 0.2
#: What of a graph must be done before its own speed is believed.
_HALF: Final = 0.5


class RenderKind(NamedTuple):
    """What two renders share that take about as long.

    Args:
        shape: of the graph; it says more than the template.
        template: whatever values are set in it.
        graph_nodes: the kind of each, by its id.
    """

    shape: str
    template: str
    graph_nodes: Mapping[str, NodeKind] = MappingProxyType({})


class RenderTimes:
    """Running means, in seconds; called from any thread, a torn mean harms nobody."""

    def __init__(self) -> None:
        self._of_shape: OrderedDict[str, float] = OrderedDict()
        self._of_template: OrderedDict[str, float] = OrderedDict()
        self._told: OrderedDict[str, float] = OrderedDict()
        self.node_times = NodeTimes()
        self.load_times = LoadTimes()
        self.render_s: float | None = None  #: Of all renders together.
        self.turnaround_s: float | None = None  #: From a free slot to the next prompt posted.

    def on_rendered(self, kind: RenderKind, seconds: float) -> None:
        """Add how long a render took."""
        self.render_s = _mean(self.render_s, seconds)
        for means, key in ((self._of_shape, kind.shape), (self._of_template, kind.template)):
            _keep(means, key, _mean(means.get(key), seconds))

    def on_told(self, shape: str, seconds: float) -> None:
        """Take in how long renders of *shape* took elsewhere, until one has run here."""
        _keep(self._told, shape, seconds)

    def on_turnaround(self, seconds: float) -> None:
        """Add how long it took from a free slot to the prompt that fills it."""
        self.turnaround_s = _mean(self.turnaround_s, seconds)

    def knows(self, shape: str) -> bool:
        """Tell whether it is known how long renders of *shape* take."""
        return shape in self._of_shape or shape in self._told

    def expected_s(self, kind: RenderKind | None) -> float | None:
        """Return how long a render of *kind* usually takes; None before the first render of any.

        What this node has rendered of its shape counts first, then what others have, then what
        this node has rendered of its template: with other sizes, perhaps. Of a graph like none before,
        the classes tell, and at last what this node has rendered lately: a wrong guess costs little, as
        what waits behind it is handed back.
        """
        if kind is None:
            return None
        measured_s = self._measured_s(kind)
        return self._guessed_s(kind) if measured_s is None else measured_s

    def remaining_s(self, kind: RenderKind | None, *, ran_s: float, done: float) -> float | None:
        """Return how long a render has still to go; None if nobody can tell.

        Args:
            done: which part of the graph is done, 0 to 1.
        """
        usual_s = self.expected_s(kind)
        is_believed = usual_s is not None and (
            ran_s <= _UNUSUAL * usual_s and self._is_borne_out(kind, ran_s / (usual_s or 1), done)
        )
        if usual_s is not None and is_believed:
            # One that is overdue is believed to take as long again as it is late.
            return abs(usual_s - ran_s)
        return ran_s * (1 - done) / done if done >= _HALF else None

    def is_measured(self, kind: RenderKind) -> bool:
        """Tell whether renders like *kind* are known, so that nothing about it is guessed."""
        return self._measured_s(kind) is not None

    def _measured_s(self, kind: RenderKind) -> float | None:
        found = (
            self._of_shape.get(kind.shape),
            self._told.get(kind.shape),
            self._of_template.get(kind.template),
        )
        return next((seconds for seconds in found if seconds is not None), None)

    def _guessed_s(self, kind: RenderKind) -> float | None:
        by_class_s = self.node_times.expected_s(kind.graph_nodes)
        return self.render_s if by_class_s is None else by_class_s

    def _is_borne_out(self, kind: RenderKind | None, passed: float, done: float) -> bool:
        """Tell whether a render goes on as it should by what is expected of it.

        What is only guessed is asked of its steps, if it takes any: a job that waits behind an hour's
        render would have been told that it begins within seconds.
        """
        if kind is None or self.is_measured(kind):
            return True
        takes_steps = any(found.steps > 1 for found in kind.graph_nodes.values())
        return not takes_steps or (passed >= _EARLY and done >= _HALF * passed)

    @property
    def lookahead_s(self) -> float:
        """How long before the end of a render the next job is taken, s."""
        return max(_LOOKAHEAD_S, _LOOKAHEAD_TURNAROUNDS * (self.turnaround_s or 0.0))

    @property
    def depth(self) -> int:
        """How many jobs may use or await the graphics card, the one that renders included."""
        if self.render_s is None or self.turnaround_s is None:
            return 2
        return 3 if self.render_s < 2 * self.turnaround_s else 2

    @property
    def summary(self) -> str:
        """Say how far the worker looks ahead, and why; empty before the first render."""
        if self.render_s is None or self.turnaround_s is None:
            return ""
        return (
            f"{self.depth - 1} ahead: a render takes {_rounded(self.render_s)}, "
            f"the way to the next prompt {_rounded(self.turnaround_s)}"
        )


def _keep(means: OrderedDict[str, float], key: str, seconds: float) -> None:
    means[key] = seconds
    means.move_to_end(key)
    if len(means) > _KEPT:
        means.popitem(last=False)


def _mean(old: float | None, new: float) -> float:
    return new if old is None else old + _NEWEST * (new - old)


def _rounded(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"  # noqa: PLR2004
