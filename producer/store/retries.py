"""Retries: records the retry of an ended job as a new job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producer.contract.errors import InvalidJob, JobNotFound, OwnerBacklogFull
from producer.contract.ids import JobId
from producer.contract.queues import Needs
from producer.contract.submissions import Submission
from producer.store import keys, limits
from producer.store.connection import translated
from producer.store.records import fields_of, flat
from producer.store.scripts import Scripts
from producer.store.times import to_ms

if TYPE_CHECKING:
    from redis import Redis


class Retries:
    """Records retries, at most one for each ended job.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, *, scripts: Scripts | None = None) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)

    def needs_of(self, queue: str) -> Needs | None:
        """Return the needs of a pool's queue; None if they have expired."""
        with translated(self._redis):
            text: Any = self._redis.hget(keys.QUEUES, queue) or self._redis.hget(
                keys.QUEUES_RETIRED, queue
            )
        return Needs.from_json(text) if text else None

    def add(
        self, submission: Submission, *, secrets: bytes = b"", only_dead: bool
    ) -> tuple[JobId, bool]:
        """Record *submission* as the retry of its `retry_of`, and remove that from the dead letters.

        Args:
            secrets: see `Content`.
            only_dead: refuse a job that is no dead letter.

        Returns:
            The retry's id, and whether it is new: an ended job has one retry at most.

        Raises:
            JobNotFound: the ended job has no record any more.
            InvalidJob: it has not ended, is no dead letter, or its graph has expired; or it cannot be read whether
                it was made again.
            OwnerBacklogFull: too many jobs of its owner wait already.
        """
        old = submission.retry_of
        if old is None:
            raise ValueError("a retry names the job it makes again")
        start_within_ms = to_ms(submission.start_within)
        outcome, found = self._scripts.run(
            "retry",
            keys=[
                keys.job(old),
                keys.job(submission.id),
                keys.template(submission.template),
                keys.extra_data(submission.extra_data) if submission.extra_data else "",
            ],
            args=[
                old,
                submission.id,
                int(only_dead),
                start_within_ms,
                start_within_ms + 2 * limits.LIVE_MS,
                submission.queue,
                submission.needs.to_json(),
                secrets,
                *flat(fields_of(submission)),
            ],
        )
        if outcome == "owner_full":
            raise OwnerBacklogFull(submission.owner, *found)
        if outcome not in {"new", "same"}:
            raise _refusal(old, outcome, status=found)
        return JobId(found), outcome == "new"


def no_dead_letter(job_id: JobId, *, status: str) -> InvalidJob:
    """Return what is said of a job that is to be redriven and is none that a person should look at."""
    return InvalidJob(
        f"job {job_id} is {status}, but no dead letter",
        field="job",
        advice=f"comfyfleet job retry {job_id} makes any ended job again",
    )


def _refusal(job_id: JobId, outcome: str, *, status: str) -> InvalidJob | JobNotFound:
    if outcome == "live":
        return InvalidJob(
            f"job {job_id} is {status}; only an ended job can be made again",
            field="job",
            advice=f"wait for it, or end it: comfyfleet job cancel {job_id}",
        )
    if outcome == "no_dead_letter":
        return no_dead_letter(job_id, status=status)
    if outcome == "no_template":
        return InvalidJob(
            f"the graph of job {job_id} has expired, or what it had beside it, so it cannot be made again",
            field="job",
            advice="submit it anew",
        )
    if outcome == "torn":
        return InvalidJob(
            f"it cannot be read whether job {job_id} was made again: Redis holds something else there",
            field="job",
            advice="comfyfleet check --repair notes it anew, then try again",
        )
    return JobNotFound(job_id)
