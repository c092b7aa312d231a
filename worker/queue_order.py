"""Which queues to take the next job from, and whether to take one at all.

kombu asks `QueueOrder.consume` before every blocking pop and calls `rotate` with the queue that
gave a message. An empty answer sends no pop at all, so the gate is the only limit on how much a
worker takes. kombu makes one instance a channel; they share the gate.
"""

from __future__ import annotations

from kombu.utils.scheduling import round_robin_cycle

from producer.contract.queues import pinned_node
from worker.lookahead import GATE


class QueueOrder(round_robin_cycle):
    """Pinned jobs first, then the pool's queues in turn; none while the gate is closed."""

    def consume(self, n: int) -> list[str]:
        """Return the queues to pop from; the first one that has a message wins."""
        if not GATE.is_open():
            return []
        queues: list[str] = self.items[:n]
        return sorted(queues, key=lambda queue: pinned_node(queue) is None)

    def rotate(self, last_used: str) -> str:
        """Hear which queue gave a message."""
        GATE.expect()
        return str(super().rotate(last_used))  # type: ignore[no-untyped-call]
