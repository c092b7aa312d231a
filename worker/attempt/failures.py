"""Records how an attempt failed, and dispatches the next one if there is to be one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from producer.contract.causes import Cause
from producer.contract.crashpoints import crashpoint
from producer.contract.errors import FleetError
from producer.contract.jobs import Job
from producer.contract.queues import Message
from producer.dispatch import Dispatch
from producer.store.attempt_endings import AttemptEndings
from worker.attempt.input_files import uploaded
from worker.attempt.lease import Lease
from worker.attempt.outages import Outages
from worker.attempt.rerouting import Rerouter
from worker.attempt.retry import Decision, decide
from worker.attempt.shutdown import Stopping
from worker.comfyui.client import ComfyUI
from worker.comfyui.refusal import blames_only
from worker.errors import InputRefused, NodeError, PromptRejected
from worker.node.agent import NodeAgent
from worker.node.peers import Peers

_log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")


class Failures:
    """Writes the end of attempts. What cannot be written, upkeep finds when the lease expires."""

    def __init__(
        self,
        node: str,
        *,
        store: AttemptEndings,
        dispatch: Dispatch,
        comfyui: ComfyUI,
        outages: Outages,
        agent: NodeAgent,
        rerouter: Rerouter,
        peers: Peers,
    ) -> None:
        self._node = node
        self._store = store
        self._dispatch = dispatch
        self._comfyui = comfyui
        self._outages = outages
        self._agent = agent
        self._rerouter = rerouter
        self._peers = peers

    def record(self, job: Job, lease: Lease, error: FleetError) -> None:
        """Write the end of the attempt: by the kind of *error* the job is requeued or failed."""
        try:
            job, error = self._rerouted(job, lease, error)
        except (FleetError, Stopping) as exc:
            _log.warning("job %s attempt %d: not rerouted: %s", job.id, job.attempt, exc)
            return
        decision = decide(error, job, node=self._node, pool_nodes=self._peers.count())
        job_error = decision.error
        _log.warning(
            "job %s attempt %d: %s: %s", job.id, job.attempt, job_error.cause, job_error.message
        )
        if decision.blames_node:
            self._agent.on_fault(
                error.detail if isinstance(error, NodeError) else job_error.message
            )
        if job_error.cause == Cause.OUT_OF_MEMORY:
            self._free_memory()
        if decision.again:
            self._requeue(job, lease, decision)
        else:
            fail = self._store.fail
            self._write(
                "failed",
                lease,
                lambda: fail(
                    lease.hold,
                    job_error,
                    charged=decision.charged,
                    dead=decision.dead,
                    fingerprint=decision.fingerprint,
                ),
            )

    def record_cancelled(self, lease: Lease) -> None:
        """Write that the job was cancelled, as was asked for."""
        self._write("cancelled", lease, lambda: self._store.end_cancelled(lease.hold))

    def _rerouted(self, job: Job, lease: Lease, error: FleetError) -> tuple[Job, FleetError]:
        # Killed after this, the job runs on in its record; upkeep sends it to the new queue.
        if not isinstance(error, PromptRejected):
            return job, error
        if blames_only(error.node_errors, uploaded(job.inputs)):
            return job, InputRefused(
                self._node, f"{error.detail}; its worker had uploaded the file"
            )
        led = self._outages.until_redis_answers(
            lambda: self._rerouter.reroute(job, lease.hold, error), lease
        )
        return led or (job, error)

    def _requeue(self, job: Job, lease: Lease, decision: Decision) -> None:
        attempt = self._write(
            "to be tried again",
            lease,
            lambda: self._store.requeue(
                job.id,
                attempt=lease.hold.attempt,
                worker=lease.hold.worker,
                error=decision.error,
                charged=decision.charged,
                counts=decision.counts,
                delay=decision.delay,
                elsewhere=job.pin is None and decision.counts,
                fingerprint=decision.fingerprint,
            ),
        )
        crashpoint("requeue.done")
        if attempt is not None:
            self._dispatch.try_send_all([Message(job.id, attempt, job.queue, job.tier.priority)])

    def _write(self, what: str, lease: Lease, write: Callable[[], _Answer]) -> _Answer | None:
        job_id, attempt = lease.hold.job_id, lease.hold.attempt
        try:
            answer = self._outages.until_redis_answers(write, lease)
        except (FleetError, Stopping) as exc:
            _log.warning("job %s attempt %d: not written as %s: %s", job_id, attempt, what, exc)
            return None
        _log.info("job %s attempt %d: %s", job_id, attempt, what)
        return answer

    def _free_memory(self) -> None:
        try:
            self._comfyui.free_memory()
        except NodeError as exc:
            _log.warning("node %s did not free its memory: %s", self._node, exc)
