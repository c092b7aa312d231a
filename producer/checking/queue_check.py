"""Queue check: jobs that wait though an idle node could run them; unknown and unused queues."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Final

from producer.checking.findings import Finding, Kind
from producer.checking.record_summary import RecordSummary, Waiting
from producer.contract.classes.catalog import Catalog
from producer.contract.classes.placement import serves
from producer.contract.nodes import Node, NodeState
from producer.contract.queues import Needs, pinned_node, readable_needs
from producer.store.audit import Audit
from producer.store.node_store import NodeStore

_POLL_S: Final = 0.2


class QueueCheck:
    """Compares the queues of waiting jobs with the nodes that serve them.

    Args:
        stuck_after: how long a job may wait while a node that serves its queue is idle.
        recheck_for: how long such a node is observed: it may only be between two jobs.
    """

    def __init__(
        self, audit: Audit, nodes: NodeStore, *, stuck_after: timedelta, recheck_for: timedelta
    ) -> None:
        self._audit = audit
        self._nodes = nodes
        self._stuck_after = stuck_after
        self._recheck_for_s = recheck_for.total_seconds()

    def findings(self, summary: RecordSummary, queues: Mapping[str, str]) -> Iterator[Finding]:
        """Yield the findings about queues.

        Args:
            queues: the needs of every known queue, as JSON, by its name.
        """
        needs = readable_needs(queues)
        nodes = self._nodes.nodes()
        for queue, waiting in summary.waiting.items():
            if queue not in needs:
                yield _unknown_queue(waiting)
        yield from self._not_started(summary.waiting, self._servers(needs, nodes))
        if nodes:  # a fleet that has lost all of them will use its queues again
            for queue in needs.keys() - summary.queues:
                if not any(_is_meant_for(node, queue, needs[queue]) for node in nodes):
                    yield _unused_queue(queue)

    def _servers(
        self, needs: Mapping[str, Needs], nodes: Collection[Node]
    ) -> dict[str, frozenset[str]]:
        """Return the names of the ready nodes that serve each queue."""
        ready = [node for node in nodes if node.state is NodeState.READY]
        catalogs: dict[str, Catalog] = {}
        for pool in {node.pool for node in ready}:
            catalogs |= self._nodes.catalogs(pool, among=ready)
        return {
            queue: frozenset(
                node.name
                for node in ready
                if serves(
                    queue,
                    wanted,
                    node=node.name,
                    pool=node.pool,
                    catalog=catalogs.get(node.name),
                )
            )
            for queue, wanted in needs.items()
        }

    def _not_started(
        self, waiting: Mapping[str, Waiting], servers: Mapping[str, frozenset[str]]
    ) -> Iterator[Finding]:
        now = self._audit.now()
        suspects = {
            queue: able
            for queue, found in waiting.items()
            if now - found.since > self._stuck_after and (able := servers.get(queue))
        }
        for queue, idle in self._watched(waiting, suspects).items():
            found = waiting[queue]
            seconds = (now - found.since).total_seconds()
            yield Finding(
                kind=Kind.NOT_STARTED,
                about=queue,
                found=f"{found.phrase} for {seconds:.0f} s, "
                f"while {' and '.join(sorted(idle))} could serve it and does nothing",
                expected="it should be running: look at the log of that worker, or restart it",
            )

    def _watched(
        self, waiting: Mapping[str, Waiting], suspects: Mapping[str, frozenset[str]]
    ) -> dict[str, frozenset[str]]:
        """Observe for `recheck_for`; return queues whose first job still waits, with the nodes idle throughout."""
        left = dict(suspects)
        deadline = time.monotonic() + self._recheck_for_s
        while left and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            busy = self._audit.busy_nodes()
            left = {
                queue: idle - busy
                for queue, idle in left.items()
                if idle - busy and self._still_waits(waiting[queue])
            }
        return left

    def _still_waits(self, waiting: Waiting) -> bool:
        [reading] = self._audit.read([waiting.first.id])
        return reading.job is not None and reading.job.waiting_for == "capacity"


def _is_meant_for(node: Node, queue: str, needs: Needs) -> bool:
    pinned = pinned_node(queue)
    return node.name == pinned if pinned is not None else node.pool == needs.pool


def _unknown_queue(waiting: Waiting) -> Finding:
    return Finding(
        kind=Kind.UNKNOWN_QUEUE,
        about=waiting.first.queue,
        found=f"{waiting.phrase}, which comfyfleet:queues does not list, so no worker looks there",
        expected="submit one more job like it, which lists the queue again",
    )


def _unused_queue(queue: str) -> Finding:
    return Finding(
        kind=Kind.UNUSED_QUEUE,
        about=queue,
        found=f"queue {queue} has no jobs, and no node of the last week is meant for it",
        expected="it takes next to no room, and may be left there",
    )
