"""Known plans: what a graph comes to that differs from an earlier one only in values that decide nothing of it.

A backend hands in the same graph all day, filled in anew for each job. Where it may run, which queue that is, and how
long it takes follow from the rest of it, so they are worked out once for each set of catalogs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Final, NamedTuple

from producer.contract.queues import Needs

#: Outlines that are remembered. A plan names the graph nodes of its graph, so it may have some 100 kB.
_MOST: Final = 256


class KnownPlan(NamedTuple):
    """What every graph of one outline comes to.

    Args:
        able: the nodes that can run it.
        needed: ids of the graph nodes that its outputs need.
    """

    needs: Needs
    able: Sequence[str]
    shape: str
    needed: frozenset[str]


class KnownPlans:
    """Plans by outline, see `outline_of`, for the catalogs whose they are. It may be used by many threads."""

    def __init__(self) -> None:
        self._plans: OrderedDict[bytes, KnownPlan] = OrderedDict()
        self._lock = Lock()

    def get(self, outline: bytes) -> KnownPlan | None:
        """Return the plan of an outline; None where none is known."""
        with self._lock:
            found = self._plans.get(outline)
            if found is not None:
                self._plans.move_to_end(outline)
            return found

    def put(self, outline: bytes, plan: KnownPlan) -> None:
        """Remember a plan in place of the one used longest ago."""
        with self._lock:
            self._plans[outline] = plan
            self._plans.move_to_end(outline)
            if len(self._plans) > _MOST:
                self._plans.popitem(last=False)
