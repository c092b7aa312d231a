"""What an action on many jobs does with one of them: cancel, hold, release, make again.

Each may be done twice: whether a job is as it was wanted is judged by what it is afterwards, not by who made it so.
"""

from __future__ import annotations

from collections.abc import Callable

from producer.contract.cancel_outcomes import Cancelled
from producer.contract.errors import InvalidJob, JobNotFound, UnreadableRecord
from producer.contract.ids import JobId
from producer.contract.jobs import Job, JobStatus
from producer.contract.outcomes import BulkAction
from producer.contract.queues import Message
from producer.contract.retries import retry_of
from producer.dispatch import Dispatch
from producer.store.job_store import JobStore
from producer.store.retries import Retries
from producer.upkeep.made_again import make_again


class JobVerbs:
    """Does one thing with one job, and says why it could not."""

    def __init__(self, jobs: JobStore, retries: Retries, dispatch: Dispatch) -> None:
        self._jobs = jobs
        self._retries = retries
        self._dispatch = dispatch
        self._verbs: dict[BulkAction, Callable[[JobId], str | None]] = {
            BulkAction.CANCEL: self._cancel,
            BulkAction.HOLD: self._hold,
            BulkAction.RELEASE: self._release,
            BulkAction.RETRY: self._retry,
        }

    def __call__(self, action: BulkAction, job_id: JobId) -> str | None:
        """Do it; return None once the job is as it was wanted, else why it is not.

        Raises:
            OwnerBacklogFull: a job may not be made again, as too many of its owner's wait.
            FleetUnreachable: Redis does not answer; it may have been done.
        """
        try:
            return self._verbs[action](job_id)
        except JobNotFound:
            return "its record has expired"
        except (InvalidJob, UnreadableRecord) as exc:
            return exc.message

    def _cancel(self, job_id: JobId) -> str | None:
        if self._jobs.cancel(job_id) is not Cancelled.ENDED:
            return None
        status = self._jobs.get(job_id).status
        return None if status is JobStatus.CANCELLED else f"it has {status} before"

    def _hold(self, job_id: JobId) -> str | None:
        [status] = self._jobs.hold([job_id])
        if status is JobStatus.HELD:
            return None
        if status is None:
            batch = self._jobs.get(job_id).batch
            return f"it waits as a row of its batch; hold that: {batch}"
        return f"it is {status}; only what waits for a node can be held"

    def _release(self, job_id: JobId) -> str | None:
        if released := self._jobs.release([job_id]):
            self._send(self._jobs.get(released[0]))
            return None
        job = self._jobs.get(job_id)
        return "it is held" if job.status is JobStatus.HELD else None

    def _retry(self, job_id: JobId) -> str | None:
        old = self._jobs.get(job_id)
        if old.retried_as:
            return None
        again = retry_of(old, needs=self._retries.needs_of(old.queue))
        make_again(again, jobs=self._jobs, retries=self._retries, dispatch=self._dispatch)
        return None

    def _send(self, job: Job) -> None:
        # Upkeep sends it where this process dies before.
        self._dispatch.try_send_all([Message(job.id, job.attempt, job.queue, job.tier.priority)])
