"""The queue order that kombu asks for: which queues to pop from, and none while the gate is closed.

kombu asks `QueueOrder.consume` before every blocking pop and calls `rotate` with the queue that
gave a message. An empty answer sends no pop at all, so the gate is the only limit on how much a
worker takes. kombu makes one instance a channel; they share gate, loaded models and turns.

A pop goes through the tiers, and within a tier through the queues in the order given here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kombu.utils.scheduling import round_robin_cycle

from producer.contract.queues import Tier
from producer.store.keys import message_list
from worker.scheduling.gate import GATE, Gate
from worker.scheduling.loaded_models import LOADED_MODELS

#: One job in so many is one of a lower tier, if one waits: else a busy fleet would starve them.
_TURN_EVERY: Final = 20
_LOWER_TIERS: Final = (Tier.IDLE, Tier.BATCH, Tier.DEFAULT)


class TierTurns:
    """Lets each of the lower tiers go first now and then."""

    def __init__(self, *, every: int = _TURN_EVERY) -> None:
        self._every = every
        self._taken = 0
        self._turns = 0

    def lists(self, order: Callable[[Tier], Sequence[str]]) -> list[str]:
        """Return what goes before all queues in the next pop: message lists, when it is a turn.

        Args:
            order: returns which queues to ask in the turn of a tier, in this order.
        """
        if self._taken < self._every - 1:
            return []
        first = self._turns % len(_LOWER_TIERS)
        tiers = (*_LOWER_TIERS[first:], *_LOWER_TIERS[:first])
        # kombu reads the urgent tier from the list that has a queue's bare name. Passing a full list
        # key as a queue makes BRPOP read that tier first; kombu's suffixed variants do not exist.
        return [message_list(queue, tier.priority) for tier in tiers for queue in order(tier)]

    def on_taken(self) -> None:
        """Count a message that was taken."""
        self._taken += 1
        if self._taken == self._every:
            self._taken = 0
            self._turns += 1


_TURNS: Final = TierTurns()


class QueueOrder(round_robin_cycle):
    """Pinned jobs first, then by model affinity; no queue while the gate is closed.

    kombu makes it from its import path and knows of no gate, hence the one of the process.
    """

    def __init__(self, it: list[str] | None = None, *, gate: Gate = GATE) -> None:
        super().__init__(it)  # type: ignore[no-untyped-call]
        self._gate = gate

    def consume(self, n: int) -> list[str]:
        """Return the queues to pop from; within a tier the first that has a message wins."""
        self._gate.on_asked()
        return self.peek(n)

    def peek(self, n: int) -> list[str]:
        """Return the same without asking: what `consume` would return now."""
        if not self._gate.is_open():
            return []
        consumed = self.items[:n]
        lists = _TURNS.lists(lambda tier: LOADED_MODELS.order(consumed, turn=tier))
        return [*lists, *LOADED_MODELS.order(consumed)]

    def rotate(self, last_used: str) -> str:
        """Record which queue gave a message."""
        self._gate.on_message_taken()
        LOADED_MODELS.on_taken(last_used)
        _TURNS.on_taken()
        return str(super().rotate(last_used))  # type: ignore[no-untyped-call]
