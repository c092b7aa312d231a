"""Placement: which nodes can run a graph, and if none can, why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from producer.contract.classes.catalog import Catalog, Missing
from producer.contract.errors import NoNodeCanRun
from producer.contract.graph.graph import Graph
from producer.contract.queues import Needs, node_queue

_SHOWN: Final = 4  # names in one message

#: Classes that exist in the editor only: its export replaces them by their values and links, so a
#: graph that has one was converted by another tool.
_EDITOR_ONLY: Final = frozenset(
    {"Reroute", "PrimitiveNode", "Note", "MarkdownNote", "SetNode", "GetNode"}
)


def who_can_run(graph: Graph, catalogs: Mapping[str, Catalog]) -> list[str]:
    """Return the names of the nodes that have every class and model of *graph*.

    Each distinct catalog is checked once: a fleet has many nodes, but few kinds of them.
    """
    fit: dict[str, bool] = {}
    for catalog in catalogs.values():
        if catalog.sha not in fit:
            fit[catalog.sha] = catalog.can_run(graph)
    return [name for name, catalog in catalogs.items() if fit[catalog.sha]]


def serves(queue: str, needs: Needs, *, node: str, pool: str, catalog: Catalog | None) -> bool:
    """Tell whether a node serves *queue*: its own queue, or one of its pool whose needs it meets.

    Args:
        needs: the recorded needs of the queue.
        catalog: the node's catalog; None while it is not known.
    """
    if queue == node_queue(node):
        return True
    if catalog is None or needs.pool != pool or queue != needs.queue:
        return False
    return catalog.serves(needs)


def explain_nobody(graph: Graph, catalogs: Mapping[str, Catalog]) -> NoNodeCanRun:
    """Return the error to raise when `who_can_run` found no node.

    It names what all nodes lack; where each class and model is on some node, what each node lacks.
    """
    lacks = _lacks(graph, catalogs)
    if not lacks:
        return NoNodeCanRun("no living node is there to run the graph", field="graph")
    first, *others = lacks.values()
    everywhere = without_doubles(lack for lack in first if all(lack in other for other in others))
    if everywhere:
        return NoNodeCanRun(
            f"no node has {_listed((lack.need for lack in everywhere), 'and')}; "
            f"looked at {_listed(catalogs, 'and')}",
            field="graph",
            graph_node=everywhere[0].graph_node,
            advice=_advice(everywhere[0], lacks),
        )
    each = (f"{name} lacks {lack[0].need}" for name, lack in lacks.items())
    return NoNodeCanRun(
        f"no node has everything: {_listed(each, 'and', comma='; ')}",
        field="graph",
        graph_node=first[0].graph_node,
        advice="bring all of it together on one node",
    )


def _lacks(graph: Graph, catalogs: Mapping[str, Catalog]) -> dict[str, list[Missing]]:
    by_sha = {catalog.sha: catalog for catalog in catalogs.values()}
    found = {sha: catalog.missing(graph) for sha, catalog in by_sha.items()}
    return {name: found[catalog.sha] for name, catalog in catalogs.items()}


def without_doubles(lacks: Iterable[Missing]) -> list[Missing]:
    """Return each class or model once, with the first of the graph nodes that need it."""
    first: dict[tuple[str | None, str], Missing] = {}
    for lack in lacks:
        first.setdefault((lack.input, lack.name), lack)
    return list(first.values())


def _advice(wanted: Missing, lacks: Mapping[str, list[Missing]]) -> str:
    if wanted.input is None and wanted.name in _EDITOR_ONLY:
        return (
            f"{wanted.name} is the editor's own and no node has it; the editor leaves it out when it "
            "exports: choose Workflow → Export (API), and take that file"
        )
    nearest = [
        name
        for missing in lacks.values()
        for lack in missing
        if lack == wanted
        for name in lack.nearest
    ]
    if nearest:
        return f"the nearest to {wanted.name}: {_listed(dict.fromkeys(nearest), 'and')}"
    if wanted.input is None:
        return f"install the extension that brings {wanted.name}, then restart that ComfyUI"
    return f"put {wanted.name} into the models folder of a node of this pool"


def _listed(names: Iterable[str], last: str, *, comma: str = ", ") -> str:
    *some, final = _shortened(list(names))
    return f"{comma.join(some)} {last} {final}" if some else final


def _shortened(names: list[str]) -> list[str]:
    if len(names) <= _SHOWN:
        return names
    return [*names[: _SHOWN - 1], f"{len(names) - _SHOWN + 1} more"]
