"""Whether another node could have a job that this one holds or is offered."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from producer.contract.errors import FleetError
from producer.contract.jobs import Job
from producer.contract.nodes import NodeState
from producer.contract.queues import readable_needs
from producer.store.backlog import Backlog
from producer.store.node_store import NodeStore
from producer.store.sweeps import Sweeps

#: More than make a difference.
_MANY: Final = 99


class Neighbours:
    """The other nodes of this one's pool."""

    def __init__(
        self, nodes: NodeStore, backlog: Backlog, sweeps: Sweeps, *, name: str, pool: str
    ) -> None:
        self._nodes = nodes
        self._backlog = backlog
        self._sweeps = sweeps
        self._name = name
        self._pool = pool

    def count(self) -> int:
        """Return how many nodes the pool has, this one included; many where nobody can be asked."""
        try:
            known = {node.name for node in self._nodes.nodes() if node.pool == self._pool}
        except FleetError:
            return _MANY
        return len(known | {self._name})

    def has_ready(self, *, besides: Collection[str] = ()) -> bool:
        """Tell whether a node, none of *besides*, could take a job."""
        return any(
            node.pool == self._pool
            and node.name not in {self._name, *besides}
            and node.state is NodeState.READY
            for node in self._nodes.nodes()
        )

    def has_idle_for(self, job: Job, *, may_load: bool) -> bool:
        """Tell whether a node waits for work that could run *job* at once.

        Args:
            may_load: whether one that would have to load its models first counts, too.

        A job whose queue has no readable entry stays where it is.
        """
        idle = self._backlog.idle_nodes() if job.pin is None else set()
        if not idle:
            return False
        needs = readable_needs(self._sweeps.queues()).get(job.queue)
        if needs is None:  # its entry was retired, or is torn
            return False
        there = [
            node
            for node in self._nodes.nodes()
            if node.name in idle and (may_load or set(node.warm).issuperset(needs.models))
        ]
        catalogs = self._nodes.catalogs(self._pool, among=there)
        return any(catalog.serves(needs) for catalog in catalogs.values())
