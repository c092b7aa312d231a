"""Running means of render and turnaround times on this node; the look-ahead depth follows. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

#: How much the newest sample counts.
_NEWEST: Final = 0.3
#: Templates remembered; a node rarely meets more within an hour.
_TEMPLATES: Final = 256
#: A render that takes longer than so many times the usual is not a usual one.
_UNUSUAL: Final = 2.0
#: What of a graph must be done before its own speed is believed.
_HALF: Final = 0.5


class RenderTimes:
    """Running means, in seconds; called from any thread, a torn mean harms nobody."""

    def __init__(self) -> None:
        self._usual: OrderedDict[str, float] = OrderedDict()
        self.render_s: float | None = None  #: Of all templates together.
        self.turnaround_s: float | None = None  #: From a free slot to the next prompt posted.

    def on_rendered(self, template: str, seconds: float) -> None:
        """Add how long a render took."""
        self.render_s = _mean(self.render_s, seconds)
        self._usual[template] = _mean(self._usual.pop(template, None), seconds)
        if len(self._usual) > _TEMPLATES:
            self._usual.popitem(last=False)

    def on_turnaround(self, seconds: float) -> None:
        """Add how long it took from a free slot to the prompt that fills it."""
        self.turnaround_s = _mean(self.turnaround_s, seconds)

    def expected_s(self, template: str | None) -> float | None:
        """Return how long a render of *template* usually takes; None if that is not known."""
        return self._usual.get(template) if template else None

    def remaining_s(self, template: str | None, *, ran_s: float, done: float) -> float | None:
        """Return how long a render has still to go; None if nobody can tell.

        Args:
            done: which part of the graph is done, 0 to 1.
        """
        usual_s = self.expected_s(template)
        if usual_s is not None and ran_s <= _UNUSUAL * usual_s:
            # One that is overdue is believed to take as long again as it is late.
            return abs(usual_s - ran_s)
        return ran_s * (1 - done) / done if done >= _HALF else None

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


def _mean(old: float | None, new: float) -> float:
    return new if old is None else old + _NEWEST * (new - old)


def _rounded(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"  # noqa: PLR2004
