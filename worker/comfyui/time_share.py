"""Time share: which part of a render's time has passed, by what has passed and what each graph node is expected to take still.

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
#: What is expected of a step counts as much as so many that were seen in this render.
_EXPECTED_STEPS: Final = 2.0


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
        self._steps = _Steps(0.0)
        self._current: str | None = None
        self._done: AbstractSet[str] = frozenset()
        self._cached: AbstractSet[str] = frozenset()
        self._seconds: dict[str, float] = {}
        self._unheard_since: float | None = None
        self._is_whole = False
        self._highest = 0.0

    def weigh(
        self, seconds: Mapping[str, float], *, at_least: float = 0.0, ran_s: float | None = None
    ) -> None:
        """Take in how long each graph node is expected to take, s.

        Args:
            at_least: what was shown already.
            ran_s: how long a prompt has run of which nothing is heard, as another worker posted it.
        """
        self._weights = {name: seconds.get(name, 0.0) for name in self._weights}
        self._is_weighed = True
        self._highest = max(self._highest, at_least)
        if ran_s is not None:
            self._unheard_since = self._clock() - ran_s

    def on_message(self, kind: str, tally: ProgressTally) -> None:
        """Bring it up to date after *tally* has read a message of that kind."""
        now = self._clock()
        if tally.current != self._current:
            self._end(now)
            self._current, self._steps = tally.current, _Steps(now)
        self._steps.on_step(tally.value, tally.max, now)
        # One that another has followed is over: not every version says so in a message of its own.
        self._done = (self._seconds.keys() | tally.done) - {self._current}
        self._cached = frozenset(tally.cached)
        self._unheard_since = None
        self._is_whole |= kind == "execution_success"

    @property
    def share(self) -> float | None:
        """The part of the time that has passed, 0 to 1; never less than before. None for an empty graph."""
        found = self._share_of_time() if self._is_weighed else self._share_of_steps()
        if found is None:
            return None
        self._highest = max(self._highest, found)
        return self._highest

    @property
    def share_of_steps(self) -> float:
        """The same by graph nodes and steps that have ended alone, whatever the clock says; 0 if unknown."""
        return self._share_of_steps() or 0.0

    @property
    def seconds(self) -> dict[str, float] | None:
        """How long each graph node took that was not cached; None unless the prompt was heard to succeed."""
        if not self._is_whole:
            return None
        ran = self._weights.keys() - self._cached
        return {name: self._seconds.get(name, 0.0) for name in ran}

    def _end(self, now: float) -> None:
        if self._current is not None:
            took_s = now - self._steps.began_at
            self._seconds[self._current] = self._seconds.get(self._current, 0.0) + took_s

    def _share_of_time(self) -> float | None:
        """Return what has passed over that and what is left: how wrong a guess was is known once it has ended."""
        now = self._clock()
        if self._unheard_since is not None:
            total_s = sum(self._weights.values())
            passed_s, left_s = now - self._unheard_since, (1 - _NOT_ENDED) * total_s
            left_s = max(left_s, total_s - passed_s)
        else:
            to_come = self._weights.keys() - self._done - self._cached - {self._current}
            passed_s = sum(self._seconds.values())
            left_s = sum(self._weights[name] for name in to_come)
            if self._current is not None:
                passed_s += now - self._steps.began_at
                left_s += self._steps.left_s(self._weights.get(self._current, 0.0), now)
        total_s = passed_s + left_s
        return passed_s / total_s if total_s else self._share_of_nothing()

    def _share_of_steps(self) -> float | None:
        # What is cached takes no time, so it is no part of it.
        left = {name: self._weights[name] for name in self._weights if name not in self._cached}
        total = sum(left.values())
        if not total:
            return self._share_of_nothing()
        passed = sum(weight for name, weight in left.items() if name in self._done)
        if self._current is not None and self._current in left:
            passed += left[self._current] * self._steps.ended
        return min(1.0, passed / total)

    def _share_of_nothing(self) -> float | None:
        is_done = self._done >= self._weights.keys() - self._cached
        return 1.0 if self._weights and is_done else None


class _Steps:
    """The steps of the graph node that runs, and when they ended."""

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self._value = self._max = 0.0
        self._has_rewound = False
        self._first: tuple[float, float] | None = None  #: The first step that was seen, and when.
        self._last_at = began_at

    def on_step(self, value: float, most: float, now: float) -> None:
        """Take in that it is at step *value* of *most*."""
        self._has_rewound |= (
            value < self._value
        )  # a second bar in one graph node: steps tell nothing
        if value > self._value:
            self._last_at = now
            self._first = self._first or (value, now)
        self._value, self._max = value, most

    @property
    def ended(self) -> float:
        """The part of the graph node that has ended by its steps, 0 to 1."""
        return min(1.0, max(0.0, self._value / self._max)) if self._tells else 0.0

    @property
    def _tells(self) -> bool:
        return bool(self._max) and not self._has_rewound

    def left_s(self, expected_s: float, now: float) -> float:
        """Return how long it is expected to go on, s, if all of it was expected to take *expected_s*."""
        if not self._tells:
            return max(expected_s - (now - self.began_at), (1 - _NOT_ENDED) * expected_s)
        step_s = self._step_s(expected_s / self._max)
        in_step_s = min(now - self._last_at, _NOT_ENDED * step_s)
        return max(0.0, (self._max - self._value) * step_s - in_step_s)

    def _step_s(self, expected_s: float) -> float:
        """Return how long a step takes: the first one may have waited for its model, so it tells nothing."""
        if self._first is None:
            return expected_s
        value, at = self._first
        count, took_s = self._value - value, self._last_at - at
        return (took_s + _EXPECTED_STEPS * expected_s) / (count + _EXPECTED_STEPS)
