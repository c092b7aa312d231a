"""The queue as a person asks for it: what waits where and why, and how many nodes could take it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.placement import serves
from producer.contract.nodes import Node, NodeState
from producer.contract.queue_lines import QueueLine, WaitReason
from producer.contract.queues import PRIORITIES, Needs, Tier, node_queue, pinned_node, pool_of
from producer.store.waiting import Waiting

_Group = tuple[str, str | None, Tier, str]


class QueueView:
    """Puts what waits beside the nodes that could take it.

    Args:
        nodes: every node that the fleet knows.
        catalogs: what living nodes can run, by name.
        needs: of every queue.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        catalogs: Mapping[str, Catalog],
        needs: Mapping[str, Needs],
    ) -> None:
        self._nodes = nodes
        self._catalogs = catalogs
        self._needs = needs
        self._able: dict[str, list[Node]] = {}

    def lines(self, waiting: Iterable[Waiting]) -> list[QueueLine]:
        """Return what waits in lines, the most urgent tier of each pool first."""
        found: dict[_Group, list[Waiting]] = {}
        for one in waiting:
            found.setdefault(self._group(one), []).append(one)
        lines = [self._line(group, ones) for group, ones in found.items()]
        return sorted(lines, key=_order)

    def _group(self, one: Waiting) -> _Group:
        pin = pinned_node(one.queues[0]) if one.queues else None
        pool = one.pool or pool_of(one.queues[0]) or self._pool_of_node(pin)
        return pool, pin, one.tier, self._reason(one)

    def _reason(self, one: Waiting) -> str:
        if one.reason not in {WaitReason.CAPACITY, WaitReason.ITS_TURN}:
            return one.reason
        able = list(self._living(one.queues))
        if not able:
            return WaitReason.NO_NODE
        is_ready = any(node.state is NodeState.READY for node in able)
        return one.reason if is_ready else WaitReason.NOT_READY

    def _line(self, group: _Group, ones: Sequence[Waiting]) -> QueueLine:
        pool, pin, tier, reason = group
        able = self._living([queue for one in ones for queue in one.queues])
        return QueueLine(
            pool=pool,
            pin=pin,
            tier=tier,
            reason=reason,
            jobs=sum(one.jobs for one in ones),
            oldest_at=min(one.since for one in ones),
            nodes=len({node.name for node in able if node.state is NodeState.READY}),
        )

    def _living(self, queues: Sequence[str]) -> Iterator[Node]:
        """Give the living nodes that serve any of some queues; one may come twice."""
        for queue in queues:
            if queue not in self._able:
                self._able[queue] = [
                    node for node in self._nodes if node.is_living and self._serves(node, queue)
                ]
            yield from self._able[queue]

    def _serves(self, node: Node, queue: str) -> bool:
        if queue == node_queue(node.name):
            return True
        return queue in self._needs and serves(
            queue,
            self._needs[queue],
            node=node.name,
            pool=node.pool,
            catalog=self._catalogs.get(node.name),
        )

    def _pool_of_node(self, name: str | None) -> str:
        return next((node.pool for node in self._nodes if node.name == name), "")


def _order(line: QueueLine) -> tuple[str, int, str, str]:
    return line.pool, PRIORITIES[line.tier], line.pin or "", line.reason
