"""Figures of the fleet for metrics, put together from the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.contract.figures import FleetFigures
from producer.store.figures import count, memory_of
from producer.store.node_store import NodeStore
from producer.store.scripts import Scripts
from producer.store.totals import Totals

if TYPE_CHECKING:
    from redis import Redis


def figures_of(redis: Redis, nodes: NodeStore) -> FleetFigures:
    """Return the figures of the fleet at this moment; raises FleetUnreachable."""
    known = nodes.nodes()
    pools = {node.name: node.pool for node in known}
    counted = count(redis, Scripts(redis), pool_of_node=lambda name: pools.get(name, ""))
    return FleetFigures(
        at=counted.at,
        nodes=known,
        waiting=counted.waiting,
        totals=Totals(redis).read(),
        memory=memory_of(redis),
        webhooks=counted.webhooks,
        actions=counted.actions,
    )
