"""What the living nodes can run, as a producer knows it: catalogs and value rules, a few seconds old.

The nodes themselves are read anew for a request; but once for all that had come by then.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Final

from producer.contract.classes.catalog import Catalog, GraphNodeClass
from producer.contract.classes.files import input_files
from producer.contract.classes.input_rules import InputRules
from producer.contract.classes.models import base_models
from producer.contract.classes.placement import who_can_run
from producer.contract.graph.graph import Graph
from producer.contract.nodes import Node
from producer.intake.known_plans import KnownPlans
from producer.intake.request import MustWait, Request, check_place
from producer.store.node_store import NodeStore

_FRESH_S: Final = 5.0
#: How long one look at the nodes serves requests that had come before it, s: the rows of a batch come long before.
_SHARED_S: Final = 0.5
#: How often nodes are asked for models that nobody has, how long their answer is waited for, and how
#: often it is asked for meanwhile, s.
_RESCAN_EVERY_S: Final = 10.0
_RESCAN_WITHIN_S: Final = 2.0
_RESCAN_POLL_S: Final = 0.25
#: Inputs of which it is remembered whether they decide: strangers name what they like.
_MOST_DECIDED: Final = 20_000


class Catalogs(dict[str, Catalog]):
    """The catalogs of some nodes, by node, as they were at one look; never changed."""

    @cached_property
    def merged(self) -> Catalog | None:
        """One catalog of all that any of the nodes can run; None if no node lives."""
        return merged(self)

    @cached_property
    def plans(self) -> KnownPlans:
        """What graphs were found to come to on these nodes."""
        return KnownPlans()

    @cached_property
    def _decided(self) -> dict[tuple[str, str], bool]:
        return {}

    def decide(self, class_type: str, input_: str) -> bool:
        """Tell whether the value of an input decides which nodes can run a graph, or which files it reads."""
        known = self._decided.get((class_type, input_))
        if known is None:
            if len(self._decided) > _MOST_DECIDED:
                self._decided.clear()
            known = self._decided[class_type, input_] = self._decides(class_type, input_)
        return known

    def _decides(self, class_type: str, input_: str) -> bool:
        probe: Graph = {"1": {"class_type": class_type, "inputs": {input_: "a name"}}}
        return bool(base_models(probe) or input_files(probe, self.merged)) or any(
            input_ in found.classes[class_type].models
            for found in _kinds(self)
            if class_type in found.classes
        )


class FleetCatalogs:
    """Reads the catalogs of the living nodes, and keeps those of each pool for 5 s.

    Args:
        nodes: the records of nodes in Redis.
    """

    def __init__(self, nodes: NodeStore) -> None:
        self._nodes = nodes
        self._by_pool: dict[str, tuple[float, Catalogs]] = {}
        self._living: dict[str, Node] = {}
        self._rescanned_at = -_RESCAN_EVERY_S
        self._nodes_read: tuple[float, list[Node]] = (-_SHARED_S, [])

    def of(self, request: Request) -> Catalogs:
        """Return the catalogs of the nodes that may take a job, by node; empty while none lives.

        Raises:
            InvalidJob: the fleet has never heard of its pool, or of the node that it is pinned to.
            FleetUnreachable: Redis does not serve us.
        """
        pool, pin = request.pool, request.pin
        read_at, catalogs = self._by_pool.get(pool, (0.0, Catalogs()))
        if not catalogs or time.monotonic() - read_at > _FRESH_S:
            nodes = self._nodes_for(request)
            check_place(nodes, pool=pool, pin=pin)
            found = self._nodes.catalogs(pool, among=nodes)
            catalogs = catalogs if catalogs == found else Catalogs(found)
            # In this order: another thread may read the pool's entry at once.
            self._living = {node.name: node for node in nodes}
            self._by_pool[pool] = (time.monotonic(), catalogs)
        if pin:
            check_place(self._nodes_for(request), pool=pool, pin=pin)
            return Catalogs({name: found for name, found in catalogs.items() if name == pin})
        return catalogs

    def living(self, request: Request) -> list[Node]:
        """Return the living nodes that may take a job, read anew with their catalogs; errors as of `of`."""
        self._by_pool.pop(request.pool, None)
        self.of(request)
        return [
            node
            for node in self._living.values()
            if node.is_living and request.pool in ("", node.pool)
        ]

    def _nodes_for(self, request: Request) -> list[Node]:
        read_at, nodes = self._nodes_read
        now = time.monotonic()
        if not request.came_at <= read_at or now - read_at > _SHARED_S:
            nodes = self._nodes.nodes()
            self._nodes_read = (now, nodes)  # as old as the question
        return nodes

    def rescanned(self, request: Request, wanted: Graph, catalogs: Catalogs) -> Catalogs:
        """Ask the nodes to read their models anew if *wanted* lacks one; return who can run it then.

        A node tells of a new file by itself after minutes. It is asked now and then only, so that
        whoever mistypes a name by the thousand is refused at once.

        Args:
            catalogs: what `of` returned, none of which can run *wanted*; they are returned if
                nothing has changed within 2 s.

        Raises:
            MustWait: the request may not wait for that.
        """
        now = time.monotonic()
        lacks = [catalog.missing(wanted) for catalog in catalogs.values()]
        may_have_come = any(all(lack.input for lack in missing) for missing in lacks)
        if not may_have_come or now - self._rescanned_at < _RESCAN_EVERY_S:
            return catalogs
        if not request.may_wait:
            raise MustWait
        self._rescanned_at = now
        self._nodes.ask_rescan()
        while time.monotonic() - now < _RESCAN_WITHIN_S:
            time.sleep(_RESCAN_POLL_S)
            self._by_pool.pop(request.pool, None)
            found = self.of(replace(request, came_at=time.monotonic()))
            if who_can_run(wanted, found):
                return found
        return catalogs

    def rules_of(self, names: Iterable[str]) -> list[InputRules]:
        """Return what the classes of living nodes take, equal rules once.

        Rules are read once for each content; while they stay the same, nobody is asked.

        Returns:
            Nothing where one of the nodes has announced no rules: it may take anything.
        """
        kinds: dict[str, InputRules] = {}
        for name in names:
            node = self._living.get(name)  # it may have left since the pool's catalogs were read
            rules = kinds.get(node.rules_sha) or self._nodes.rules(node) if node else None
            if node is None or rules is None:
                return []
            kinds[node.rules_sha] = rules
        return list(kinds.values())


def merged(catalogs: Mapping[str, Catalog]) -> Catalog | None:
    """Return one catalog of all that any of the nodes can run; None if no node lives."""
    if not catalogs:
        return None
    classes: dict[str, GraphNodeClass] = {}
    for catalog in _kinds(catalogs):
        for name, found in catalog.classes.items():
            known = classes.setdefault(name, found)
            # Versions differ in how many outputs a class has; a slot that one node knows is good.
            if (found.outputs or 0) > (known.outputs or 0):
                classes[name] = found
    return Catalog(classes)


def rare_classes(graph: Graph, catalogs: Mapping[str, Catalog]) -> set[str]:
    """Return the classes of *graph* that some living node of the pool lacks: they decide who may serve."""
    used = {node["class_type"] for node in graph.values()}
    kinds = _kinds(catalogs)
    return {name for name in used if not all(name in found.classes for found in kinds)}


def _kinds(catalogs: Mapping[str, Catalog]) -> list[Catalog]:
    """Return each catalog once: a fleet has many nodes and few kinds of them."""
    return list({catalog.sha: catalog for catalog in catalogs.values()}.values())
