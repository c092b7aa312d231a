"""New jobs: what the script `submit` takes for one and answers, the record that it has written, and whether it is sent."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from producer.contract.errors import BacklogFull, FleetError, KeyReused, OwnerBacklogFull
from producer.contract.ids import JobId
from producer.contract.jobs import Job, JobStatus
from producer.contract.submissions import Content, Submission
from producer.store import keys
from producer.store.records import fields_of, flat, job_of, packed
from producer.store.times import to_ms

SCRIPT: Final = "submit"


class Added(NamedTuple):
    """What became of a submission.

    Args:
        job_id: of the job that it made, or had made before.
        job: its record as it was written; None where it was there before.
        is_unsent: whether the broker did not take its message; none was given, or it needs none, if not.
    """

    job_id: JobId
    job: Job | None
    is_unsent: bool = False

    @property
    def is_new(self) -> bool:
        """Whether it made the job just now."""
        return self.job is not None


class NewJob:
    """One submission on its way into Redis.

    Args:
        status: queued or held.
        most_waiting: as of `JobStore`.
        message: what wakes a worker for it, as it lies in a list of the broker; "" for none. It is sent with the record.
    """

    def __init__(
        self,
        submission: Submission,
        content: Content,
        *,
        status: JobStatus = JobStatus.QUEUED,
        most_waiting: int,
        message: str = "",
    ) -> None:
        self._submission = submission
        self._content = content
        self._status = status
        self._most_waiting = most_waiting
        self._message = message
        self._fields = fields_of(submission)

    @property
    def call(self) -> tuple[list[str], list[Any]]:
        """Keys and arguments of the script."""
        submission = self._submission
        key = submission.idempotency_key
        script_keys = [
            keys.job(submission.id),
            keys.idempotency(submission.owner, key) if key else "",
            keys.template(submission.template),
            keys.extra_data(submission.extra_data) if submission.extra_data else "",
        ]
        arguments = [
            submission.id,
            submission.fingerprint,
            to_ms(submission.start_within),
            submission.queue,
            submission.needs.to_json(),
            self._most_waiting,
            # Only compared with what the first version stored.
            submission.first_fingerprint if key else "",
            *(packed(self._content.graph), packed(self._content.extra_data)),
            *(submission.secrets_of, self._content.secrets),
            *(self._status, self._message),
            keys.message_list(submission.queue, submission.tier.priority),
            *flat(self._fields),
        ]
        return script_keys, arguments

    def answered(self, reply: Any) -> Added | FleetError:
        """Return what a reply of the script says."""
        outcome, found = reply[:2]
        if outcome == "full":
            return BacklogFull(found, self._most_waiting)
        if outcome == "owner_full":
            return OwnerBacklogFull(self._submission.owner, *found)
        if outcome == "reused":
            return KeyReused(str(self._submission.idempotency_key), found)
        if outcome != "new":
            return Added(JobId(found), None)
        created_ms, start_by_ms, is_sent = reply[2:]
        return Added(JobId(found), self._written(created_ms, start_by_ms), not is_sent)

    def _written(self, created_ms: int, start_by_ms: int) -> Job:
        record = {name: str(value) for name, value in self._fields.items()}
        record |= {
            "status": str(self._status),
            "created_ms": str(created_ms),
            "start_by_ms": str(start_by_ms),
        }
        if self._status is JobStatus.QUEUED:
            record["queued_ms"] = str(created_ms)
        return job_of(self._submission.id, record)
