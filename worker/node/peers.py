"""The other nodes of the pool: whether one of them could run a job in place of this node."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from producer.contract.errors import FleetError
from producer.contract.jobs import Attempt, Job
from producer.contract.nodes import NodeState
from producer.contract.queues import readable_needs
from producer.store.backlog import Backlog
from producer.store.node_store import NodeStore
from producer.store.sweeps import Sweeps

#: More than make a difference.
_MANY: Final = 99


class Peers:
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

    def has_ready(self) -> bool:
        """Tell whether another node could take a job."""
        return any(
            node.pool == self._pool and node.name != self._name and node.state is NodeState.READY
            for node in self._nodes.nodes()
        )

    def able_to_run(self, job: Job, *, excluding: Collection[str]) -> tuple[list[str], list[str]]:
        """Return the ready nodes that could run *job*, none of *excluding*: idle ones, and busy ones.

        Where the job's queue has no readable entry, any ready node of the pool counts.
        """
        needs = readable_needs(self._sweeps.queues()).get(job.queue)
        ready = [
            node
            for node in self._nodes.nodes()
            if node.state is NodeState.READY and node.name not in {self._name, *excluding}
        ]
        catalogs = self._nodes.catalogs(self._pool, among=ready)
        able = [name for name, has in catalogs.items() if needs is None or has.serves(needs)]
        idle = self._backlog.idle_nodes() if able else set()
        return [name for name in able if name in idle], [name for name in able if name not in idle]

    def has_idle_for(self, job: Job, *, may_load: bool) -> bool:
        """Tell whether a node waits for work that could run *job* at once, and has not failed it.

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
        idle -= {str(attempt.node) for attempt in job.attempts if _is_failure(attempt)}
        there = [
            node
            for node in self._nodes.nodes()
            if node.name in idle and (may_load or set(node.warm).issuperset(needs.models))
        ]
        catalogs = self._nodes.catalogs(self._pool, among=there)
        return any(catalog.serves(needs) for catalog in catalogs.values())


def _is_failure(attempt: Attempt) -> bool:
    return attempt.error.cause != "handed_back"
