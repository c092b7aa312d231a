"""Sends a retry to a node on which the job has not failed."""

from __future__ import annotations

import logging
import random
from collections.abc import Collection
from datetime import timedelta
from typing import Final

from producer.contract.errors import FleetError
from producer.contract.ids import JobId
from producer.contract.queues import Message, node_queue
from producer.dispatch import Dispatch
from producer.store.job_store import JobStore
from worker.node.peers import Peers

_log = logging.getLogger(__name__)

#: After so long the job's own queue gets a message too, in case the node does not take the first:
#: one that waited for work may have broken since, one that is busy may be busy for long.
_IDLE_TAKES: Final = timedelta(seconds=3)
_BUSY_TAKES: Final = timedelta(seconds=10)


class RetryPlacement:
    """Sends a job that failed on this node to another one.

    A warm node would else always be quicker than a cold one, and a retry of what ran out of memory
    or met a damaged file would meet it again. So its message goes to the other node's own queue.
    """

    def __init__(self, store: JobStore, dispatch: Dispatch, peers: Peers) -> None:
        self._store = store
        self._dispatch = dispatch
        self._peers = peers

    def move(self, job_id: JobId, attempt: int, *, failed_on: Collection[str]) -> bool:
        """Send a queued job to a node that can run it, none of *failed_on*; idle ones come first.

        Returns:
            Whether there is one; if not, the job had better run here again.
        """
        job = self._store.get(job_id)
        idle, busy = self._peers.able_to_run(job, excluding=failed_on)
        if not (idle or busy):
            return False
        node = random.choice(idle or busy)  # noqa: S311 - no secret
        # Killed after the first step, or if the node dies, upkeep sends it to its own queue.
        self._store.pass_on(job_id, attempt=attempt, wait=_IDLE_TAKES if idle else _BUSY_TAKES)
        _log.info("job %s attempt %d: left to %s", job_id, attempt, node)
        message = Message(job_id, attempt, node_queue(node), job.tier.priority)
        try:
            self._dispatch.send_all([message])
        except FleetError as exc:
            _log.warning("job %s: not sent, upkeep will: %s", job_id, exc)
        return True
