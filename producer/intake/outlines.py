"""Outlines: a graph without the values that decide nothing of where it runs, what of it is run, and for how long."""

from __future__ import annotations

import hashlib
from typing import Any

from producer.contract.classes.cost_inputs import cost_of, is_size
from producer.contract.classes.links import LINKED, links_of
from producer.contract.classes.savers import PREFIX
from producer.contract.graph.graph import Graph, GraphNode
from producer.contract.graph.json_values import canonical
from producer.intake.catalogs import Catalogs


def outline_of(graph: Graph, catalogs: Catalogs) -> bytes:
    """Return a digest of all in *graph* that decides where it can run, what of it is run, and how long that takes.

    Left out are titles, and values by which none of these is found: seeds, texts that somebody wrote, colours. What
    has to do with links stays, as a value may read as one.
    """
    hands_sizes = any(is_size(link.input) for found in graph.values() for link in links_of(found))
    outlined = [
        [graph_node, found["class_type"], *_parted(found, catalogs, hands_sizes=hands_sizes)]
        for graph_node, found in graph.items()
    ]
    return hashlib.sha256(canonical(outlined).encode()).digest()


def _parted(found: GraphNode, catalogs: Catalogs, *, hands_sizes: bool) -> tuple[Any, ...]:
    """Return the inputs that decide; and the names of others, numbers and texts apart: a class may compute with those.

    Args:
        hands_sizes: whether a graph node may hand a number to an input that decides cost: then any number may be that.
    """
    deciding: dict[str, Any] = {}
    numbers: list[str] = []
    texts: list[str] = []
    for name, value in found["inputs"].items():
        kind = type(value)
        names = texts if kind is str else numbers if kind is int or kind is float else None
        if (
            names is not None
            and cost_of(name, value, is_number_wanted=hands_sizes) is None
            and name != PREFIX  # of some classes it says which files they read
            and name not in LINKED  # where an id as text is refused
            and not catalogs.decide(found["class_type"], name)
        ):
            names.append(name)
        else:
            deciding[name] = value
    return deciding, numbers, texts
