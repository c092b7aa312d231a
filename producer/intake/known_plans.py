"""Known plans: what a graph comes to that differs from an earlier one in seeds and in what somebody wrote only.

A backend hands in the same graph all day, filled in anew for each job. Where it may run, which queue that is, and how
long it takes follow from the rest of it, so they are worked out once for each look at the nodes.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, Final, NamedTuple

from producer.contract.classes.cost_inputs import cost_of, is_of_one_job
from producer.contract.classes.links import LINKED
from producer.contract.classes.savers import PREFIX
from producer.contract.graph.graph import Graph
from producer.contract.graph.json_values import canonical
from producer.contract.queues import Needs
from producer.intake.catalogs import Catalogs

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
    """Plans by outline, as long as the nodes are those that they were made for. It may be used by many threads."""

    def __init__(self) -> None:
        self._plans: OrderedDict[bytes, tuple[Catalogs, KnownPlan]] = OrderedDict()
        self._lock = Lock()

    def get(self, outline: bytes, catalogs: Catalogs) -> KnownPlan | None:
        """Return the plan of an outline that was made for these very catalogs; else None."""
        with self._lock:
            found = self._plans.get(outline)
            if found is None or found[0] is not catalogs:
                return None
            self._plans.move_to_end(outline)
            return found[1]

    def put(self, outline: bytes, catalogs: Catalogs, plan: KnownPlan) -> None:
        """Remember a plan in place of the one used longest ago."""
        with self._lock:
            self._plans[outline] = (catalogs, plan)
            self._plans.move_to_end(outline)
            if len(self._plans) > _MOST:
                self._plans.popitem(last=False)


def outline_of(graph: Graph, catalogs: Catalogs) -> bytes:
    """Return a digest of all in *graph* that decides where it can run, what of it is run, and how long that takes.

    Left out are titles, seeds, and texts that somebody wrote; not names of files and models, nor what has to do with
    links: a value may read as one.
    """
    outlined = [
        [graph_node, found["class_type"], _inputs(found["class_type"], found["inputs"], catalogs)]
        for graph_node, found in graph.items()
    ]
    return hashlib.sha256(canonical(outlined).encode()).digest()


def _inputs(class_type: str, inputs: dict[str, Any], catalogs: Catalogs) -> list[Any]:
    """Return the inputs that decide; and the names of others, numbers and texts apart: a class may compute with those."""
    deciding: dict[str, Any] = {}
    numbers: list[str] = []
    texts: list[str] = []
    for name, value in inputs.items():
        names = texts if type(value) is str else numbers if type(value) is int else None
        if names is not None and _is_free(class_type, name, value, catalogs):
            names.append(name)
        else:
            deciding[name] = value
    return [deciding, numbers, texts]


def _is_free(class_type: str, name: str, value: Any, catalogs: Catalogs) -> bool:
    return (
        is_of_one_job(name, value)
        and cost_of(name, value, is_number_wanted=True) is None
        and name != PREFIX  # of some classes it says which files they read
        and name not in LINKED  # where an id as text is refused
        and not catalogs.decide(class_type, name)
    )
