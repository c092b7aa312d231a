"""Errors of what is on record, or is not, and of who may write there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.contract.errors.base import FleetError, tidied
from producer.contract.number_words import how_many

if TYPE_CHECKING:
    from producer.contract.jobs import Job
    from producer.contract.outcomes import ActionRecord


class BatchNotFound(FleetError):
    """There is no such batch, or its record has expired."""

    def __init__(self, batch: str) -> None:
        super().__init__(
            f"there is no batch {batch}",
            advice="one that was cancelled before it was sealed is forgotten; records expire",
        )
        self.batch = batch


class WebhookNotFound(FleetError):
    """The owner has no webhook of this name, or it has no such delivery.

    Args:
        field: the argument that named it.
    """

    def __init__(self, message: str, *, field: str = "webhook") -> None:
        super().__init__(message, advice="comfyfleet webhook list shows what there is")
        self.field = field


class TemplateNotFound(FleetError):
    """The owner has no template of this name.

    Args:
        field: the argument that named it.
    """

    def __init__(self, message: str, *, field: str = "template") -> None:
        super().__init__(message, advice="comfyfleet template list shows what there is")
        self.field = field


class TemplateChanged(FleetError):
    """The template is not what the caller said that it is, so nothing was changed.

    Args:
        etag: of what is there; None where nothing is.
    """

    def __init__(self, message: str, *, etag: str | None = None) -> None:
        super().__init__(message, advice="read it anew, and see whether your change still fits")
        self.etag = etag


class JobNotFound(FleetError):
    """There is no such job, or its record has expired."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id}", advice="records of ended jobs expire")
        self.job_id = job_id


class ActionNotFound(FleetError):
    """There is no such action on many jobs, or its record has expired."""

    def __init__(self, action: str) -> None:
        super().__init__(
            f"there is no action {action}",
            advice="records of actions that have ended expire; an owner's last 100 are kept",
        )
        self.action = action


class ActionFailed(FleetError):
    """An action on many jobs ended before all were looked at; what it has done stays done.

    Args:
        record: what has come of it.
    """

    def __init__(self, record: ActionRecord) -> None:
        how = f"failed after {how_many(record.done, 'job')}: {record.error}"
        if record.error is None:
            how = f"was stopped after {how_many(record.done, 'job')}"
        super().__init__(
            f"action {record.id} {how}",
            advice="ask for it again: what is done already does not count again",
        )
        self.record = record


class UnreadableRecord(FleetError):
    """There is a record of the job, alone or packed with other rows, that makes no sense."""

    def __init__(self, job_id: str, flaw: str) -> None:
        super().__init__(
            f"the record of job {job_id} cannot be read: {tidied(flaw)}",
            advice="comfyfleet check says what can be done about it",
        )
        self.job_id = job_id


class KeyReused(FleetError):
    """The idempotency key was used before, for another request."""

    def __init__(self, key: str, job_id: str, *, what: str = "") -> None:
        # The id of a batch is that of a row before its first one.
        known = what or ("batch" if job_id.endswith("0" * 8) else "job")
        super().__init__(
            f"idempotency key {key!r} already made {known} {job_id} from another request",
            advice="take another key, or hand in the same request",
        )
        self.key = key
        self.job_id = job_id


class LeaseLost(FleetError):
    """Another attempt owns the job, or it has ended; this one must write nothing more."""

    def __init__(self, job_id: str, attempt: int) -> None:
        super().__init__(f"attempt {attempt} no longer holds job {job_id}")
        self.job_id = job_id
        self.attempt = attempt


class NodeNameTaken(FleetError):
    """A living worker already serves under this node name."""

    def __init__(self, node: str, holder: str) -> None:
        super().__init__(
            f"node {node} is already served by {holder}",
            advice="give this worker another --name, or stop the other one",
        )
        self.node = node


class JobNotSucceeded(FleetError):
    """The awaited job ended as failed, cancelled or expired.

    Args:
        job: the ended job.
    """

    def __init__(self, job: Job, message: str, *, advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.job = job


class WaitTimeout(FleetError):
    """The job, or batch, did not end within the timeout; it is unaffected."""

    def __init__(self, job_id: str, timeout_s: float, status: str, *, what: str = "job") -> None:
        super().__init__(f"{what} {job_id} is still {status} after {timeout_s:g} s; it goes on")
        self.job_id = job_id
