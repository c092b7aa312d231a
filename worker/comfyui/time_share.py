"""Time share: which part of a render's time has passed, by what each graph node is expected to take.

ComfyUI counts steps within a graph node, and says nothing of how its graph nodes compare: counted alike, a
sampler is one of seven, and takes nearly all of the time. Between two messages the clock goes on. Pure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from worker.comfyui.progress import ProgressTally

#: A graph node, or a step, that is not known to have ended is not counted as more than this part of it.
_NOT_ENDED: Final = 0.95


class TimeShare:
    """What one prompt's messages say of its time; `ProgressTally` has read them.

    Args:
        graph_nodes: the ids in the graph; each counts alike until `weigh` is called.
    """

    def __init__(
        self, graph_nodes: Collection[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._weights = dict.fromkeys(graph_nodes, 1.0)
        self._is_weighed = False
        self._current: str | None = None
        self._began_at = 0.0
        self._value = self._max = 0.0
        self._has_rewound = False
        self._done: AbstractSet[str] = frozenset()
        self._cached: AbstractSet[str] = frozenset()
        self._seconds: dict[str, float] = {}
        self._is_whole = False
        self._highest = 0.0

    def weigh(self, seconds: Mapping[str, float], *, at_least: float = 0.0) -> None:
        """Take in how long each graph node is expected to take, s.

        Args:
            at_least: what was shown already.
        """
        self._weights = {name: seconds.get(name, 0.0) for name in self._weights}
        self._is_weighed = True
        self._highest = max(self._highest, at_least)

    def on_message(self, kind: str, tally: ProgressTally) -> None:
        """Bring it up to date after *tally* has read a message of that kind."""
        now = self._clock()
        if tally.current != self._current:
            self._end(now)
            self._current, self._began_at, self._has_rewound = tally.current, now, False
        elif tally.value < self._value:
            self._has_rewound = True  # a second bar in one graph node: steps tell nothing
        self._value, self._max = tally.value, tally.max
        # One that another has followed is over: not every version says so in a message of its own.
        self._done = (self._seconds.keys() | tally.done) - {self._current}
        self._cached = frozenset(tally.cached)
        self._is_whole |= kind == "execution_success"

    @property
    def share(self) -> float | None:
        """The part of the time that has passed, 0 to 1; never less than before. None for an empty graph."""
        found = self._sum(self._part_by_time)
        if found is None:
            return None
        self._highest = max(self._highest, found)
        return self._highest

    @property
    def share_of_steps(self) -> float:
        """The same by graph nodes and steps that have ended alone, whatever the clock says; 0 if unknown."""
        return self._sum(lambda _: self._steps[0]) or 0.0

    @property
    def seconds(self) -> dict[str, float] | None:
        """How long each graph node took that was not cached; None unless the prompt was heard to succeed."""
        if not self._is_whole:
            return None
        ran = self._weights.keys() - self._cached
        return {name: self._seconds.get(name, 0.0) for name in ran}

    def _end(self, now: float) -> None:
        if self._current is not None:
            took_s = now - self._began_at
            self._seconds[self._current] = self._seconds.get(self._current, 0.0) + took_s

    def _sum(self, part_of: Callable[[str], float]) -> float | None:
        # What is cached takes no time, so it is no part of it.
        left = {name: self._weights[name] for name in self._weights if name not in self._cached}
        total = sum(left.values())
        if not total:
            return 1.0 if self._weights and self._done >= left.keys() else None
        passed = sum(weight for name, weight in left.items() if name in self._done)
        if self._current is not None and self._current in left:
            passed += left[self._current] * part_of(self._current)
        return min(1.0, passed / total)

    def _part_by_time(self, graph_node: str) -> float:
        low, high = self._steps
        if not self._is_weighed:
            return low
        expected_s = self._weights[graph_node]
        passed = (self._clock() - self._began_at) / expected_s if expected_s else 1.0
        return min(max(passed, low), high)

    @property
    def _steps(self) -> tuple[float, float]:
        """The part of the current graph node that has ended by its steps, and the most that may have."""
        if not self._max or self._has_rewound:
            return 0.0, _NOT_ENDED
        low = min(1.0, max(0.0, self._value / self._max))
        return low, max(low, min(1.0, (self._value + _NOT_ENDED) / self._max))
