"""Rerouting: moves a job from a node that cannot run it to the queue of nodes that can."""

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
    """The store's operation for the holder of a job that its node cannot run.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._scripts = Scripts(redis)

    def reroute(self, hold: Hold, needs: Needs) -> None:
        """Set the job's queue to that of *needs*, from its next attempt on.

        Raises:
            LeaseLost: the attempt no longer holds the job; nothing was written.
        """
        # Before the requeue, so that also upkeep, if it ends this attempt, sends the next one there.
        outcome = self._scripts.run(
            "reroute",
            keys=[keys.job(hold.job_id)],
            args=[hold.attempt, hold.worker, needs.queue, needs.to_json()],
        )
        if outcome == "lost":
            raise LeaseLost(hold.job_id, hold.attempt)
