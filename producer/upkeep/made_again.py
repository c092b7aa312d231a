"""An ended job is made again: recorded as a new one, once, and sent."""

from __future__ import annotations

from producer.contract.errors import JobNotFound
from producer.contract.ids import JobId
from producer.contract.queues import Message
from producer.contract.submissions import Submission
from producer.dispatch import Dispatch
from producer.store.job_store import JobStore
from producer.store.retries import Retries


def make_again(
    submission: Submission,
    *,
    jobs: JobStore,
    retries: Retries,
    dispatch: Dispatch,
    secrets: bytes = b"",
    only_dead: bool = False,
) -> tuple[JobId, bool]:
    """Record *submission* as the retry of its `retry_of`, and send it if it is new; returns as `Retries.add`.

    Args:
        secrets, only_dead: as of `Retries.add`, and errors, too.
    """
    try:
        new_id, is_new = retries.add(submission, secrets=secrets, only_dead=only_dead)
    except JobNotFound as exc:
        # A row that ended with its batch has no record; it gets one while its values are kept.
        if submission.batch is None or not jobs.give_record(JobId(exc.job_id)):
            raise
        new_id, is_new = retries.add(submission, secrets=secrets, only_dead=only_dead)
    if is_new:
        # Upkeep sends it where this process dies before.
        dispatch.try_send_all([Message(new_id, 1, submission.queue, submission.tier.priority)])
    return new_id, is_new
