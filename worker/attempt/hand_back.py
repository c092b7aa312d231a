"""Hand back: decides whether a job whose prompt waits in its node's queue is returned for another node."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from producer.contract.causes import Cause
from producer.contract.errors import FleetError
from producer.contract.jobs import Job
from worker.attempt.render_state import RenderState
from worker.node.peers import Peers
from worker.scheduling.gate import Gate

_log = logging.getLogger(__name__)

#: How often to think about it, s.
_CHECK_EVERY_S: Final = 0.5
#: The turn comes so soon that nobody else would be quicker, s.
_TURN_IS_NEAR_S: Final = 0.5
#: A job that was handed back so often stays where it is: something else is wrong then.
_MAX_HAND_BACKS: Final = 3


class HandBack:
    """Tells whether to hand back a job whose prompt has not begun.

    Args:
        load_s: returns about how long it takes to load the models of a queue.
    """

    def __init__(self, gate: Gate, peers: Peers, *, load_s: Callable[[str], float]) -> None:
        self._gate = gate
        self._peers = peers
        self._load_s = load_s

    def is_better_elsewhere(self, job: Job, state: RenderState) -> bool:
        """Return whether *job* would better run on another node; asked now and then.

        It is handed back when its node has become doubtful and another one is ready; or when
        the render before it takes long after all and another node is idle.
        """
        if job.pin is not None or _times_handed_back(job) >= _MAX_HAND_BACKS:
            return False
        doubtful = not self._gate.is_ready
        if not (doubtful or state.start_if_due("peers", _CHECK_EVERY_S)):
            return False
        try:
            if doubtful:
                return self._peers.has_ready()
            remaining_s = self._gate.remaining_s()
            if remaining_s is not None and remaining_s <= _TURN_IS_NEAR_S:
                return False
            may_load = remaining_s is None or remaining_s > self._load_s(job.queue)
            return self._peers.has_idle_for(job, may_load=may_load)
        except FleetError as exc:
            _log.warning("job %s: whether another node is idle, nobody knows: %s", job.id, exc)
            return False


def _times_handed_back(job: Job) -> int:
    return sum(attempt.error.cause == Cause.HANDED_BACK for attempt in job.attempts)
