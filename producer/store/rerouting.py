"""Moves a job to the queue of nodes that can run it, when the one that holds it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.contract.errors import LeaseLost
from producer.contract.queues import Needs
from producer.store import keys
from producer.store.attempts import Hold
from producer.store.scripts import Scripts

if TYPE_CHECKING:
    from redis import Redis


class Rerouting:
    """The store, as one sees it who holds a job that belongs elsewhere.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._scripts = Scripts(redis)

    def reroute(self, hold: Hold, needs: Needs) -> None:
        """Have the job wait where *needs* are met, from its next attempt on.

        Raises:
            LeaseLost: the attempt no longer holds the job; nothing was written.
        """
        # Done before the requeue: whoever ends this attempt, be it upkeep, sends the next one there.
        outcome = self._scripts.run(
            "reroute",
            keys=[keys.job(hold.job_id)],
            args=[hold.attempt, hold.worker, needs.queue, needs.to_json()],
        )
        if outcome == "lost":
            raise LeaseLost(hold.job_id, hold.attempt)
