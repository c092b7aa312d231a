"""Errors, as one tree. An error says what happened; `worker.attempt.retry` decides what is done.

* FleetError
  + InvalidJob              the caller can mend the submission
    - InvalidGraph          the graph
      · InvalidParam        a value that is set in it, or its address: `params.6.text`
    - InvalidInput          a file the graph reads
    - NoNodeCanRun          no node of the pool has what the graph needs
    - InvalidRows           rows of a batch, each with its number and column
    - InvalidBatch          what is asked of a batch does not fit its state, or its rows
    - InvalidQuery          a filter, a cursor or a limit of a list makes no sense
    - AddressRefused        a web address that nobody may have asked: not public, or in an odd form
  + AccessKeyNotValid       the API key is unknown, was revoked, or has expired
  + ScopeMissing            the API key does not allow this
  + TooManyRequests         the API key was used faster than it may be
  + InvalidSettings         settings that are missing or make no sense, each by its variable
  + BacklogFull             the limit of waiting jobs is reached
    - OwnerBacklogFull      that of one owner
  + JobNotFound
  + UnreadableRecord        a job's record exists, but is torn
  + BatchNotFound
  + WebhookNotFound
  + KeyReused               the idempotency key belongs to another request
  + LeaseLost               another attempt owns the job now; stop, write nothing
  + NodeNameTaken           another living worker holds this node name
  + JobNotSucceeded         raised by wait for a job that failed, was cancelled or expired
  + WaitTimeout
  + HostFault               the host of a web address does not answer, or not within bounds
  + FleetUnreachable        Redis does not answer, or refuses requests
  + KeyOfAnotherType        something else stands in Redis where the fleet has an index
  + StorageError            S3
    - StorageUnreachable
    - BucketMissing
    - BucketForbidden       access is denied, to the bucket or to one operation
      · CredentialsRefused  the S3 service does not accept the credentials
    - BucketFull
    - StorageFault          it answered, but not as S3 does
      · UnclearRefusal      a 400 without an S3 error code: damaged on its way, or refused for good
    - StorageRefused        the same request would be refused again
      · NotSupported        the S3 service does not support the request
    - ForeignBucketFault    the bucket of an `s3://` input, not the fleet's own, failed
    - ObjectMissing
    - ObjectConflict        the key holds other bytes

Of a worker (`worker.errors`); a caller meets them as the causes of failed jobs:

  + RunDeadlinePassed       the attempt took longer than the job allows
  + DeliveryFailed          it was rendered, then the worker failed to store it
  + NodeError               a GPU node or the ComfyUI on it
    - NodeUnreachable
    - NodeTimeout
    - NodeFault             it answered, but not as ComfyUI does
      · SpoolFault          its worker's own disk cannot be written
      · OutputPending       its companion has not written a file yet
    - RequestTooLarge       it, or a proxy before it, refuses a request of this size
    - PromptRejected        ComfyUI refused the graph; no retry will help
    - NodeLacks             it lacks a class or model of the graph that another node has
      · InputRefused        it refuses an input file that it was given a moment before
    - PromptFailed          ComfyUI accepted the graph, then a graph node raised
      · OutputUnwritten     its companion could not write a file
    - PromptIncomplete      it succeeded, but a graph node that saves has listed no file
    - PromptInterrupted     the prompt was interrupted, not by its worker
    - PromptLost            neither in the node's queue nor in its history
    - PromptStalled         it runs, but makes no progress
      · ExecutorEnded       it ended the thread that executes
    - HandedBack            another node could begin it sooner
    - NodeLeaves            the node is removed from the fleet, its jobs go to others
    - LeaseLapsed           its worker did not renew its lease in time
    - WorkerDied            workers of the node died repeatedly while they ran it
    - OutputDamaged         a file came truncated, empty or undecodable
      · OutputMissing       it is not there

Of the embedded stack (`infra.local`): BinaryNotFound, ComfyUnusable, ServiceFailed, StateDirInUse.

Control signals that end an attempt are no errors: `Shunned` (another node should claim the job),
`JobCancelled` (its cancellation was requested), `Stopping` (the worker shuts down and keeps the job).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from producer.contract.text_cleaning import abridged, escaped

if TYPE_CHECKING:
    from producer.contract.batches import BadRow
    from producer.contract.jobs import Job

#: Characters of a refusal's message, which may quote the submission.
_LONGEST: Final = 400

#: Advice for rows that differ from those accepted under the same idempotency key.
SAME_ROWS: Final = (
    "if these are the same rows, nothing is left to do; other rows need another idempotency key"
)


class FleetError(Exception):
    """The base of all errors that this project raises on purpose.

    Args:
        message: what happened, in one sentence.
        advice: what to try next, if known.
    """

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} ({self.advice})" if self.advice else self.message


class InvalidJob(FleetError):
    """The submission is invalid.

    Args:
        field: the argument of the submission at fault, as `params.6.text` or `pool`.
        graph_node: the id of the graph node at fault.
        allowed: what would do in its place, where that is a short list.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        graph_node: str | None = None,
        advice: str | None = None,
        allowed: Sequence[str] | None = None,
    ) -> None:
        super().__init__(tidied(message), advice=tidied(advice) if advice else None)
        self.field = field
        self.graph_node = graph_node
        self.allowed = allowed


class InvalidGraph(InvalidJob):
    """The graph, or a value that is set in it, is invalid."""


class InvalidParam(InvalidGraph):
    """A value that a job sets in its graph does not fit its input, or its address names no input.

    The field is `params.<address>`, or `inputs.<address>` where the value is a file.
    """


class InvalidInput(InvalidJob):
    """A file that the graph reads is missing, empty, too large, or of another type than required."""


class NoNodeCanRun(InvalidJob):
    """There are nodes, but none has all classes and models that the graph needs."""


class InvalidRows(InvalidJob):
    """Rows of a batch are invalid; none of its rows was accepted.

    Args:
        rows: the first invalid rows.
        count: the number of invalid rows.
        accepted: the batch that was accepted before under the same idempotency key.
    """

    def __init__(self, rows: Sequence[BadRow], *, count: int, accepted: str | None = None) -> None:
        sentences = "\n".join(f"  {row.sentence}" for row in rows)
        more = f"\n  and {count - len(rows):,} more" if count > len(rows) else ""
        bad = f"{count:,} bad row{'' if count == 1 else 's'}"
        if accepted:
            what = (
                f"batch {accepted} was accepted before and stays as it is; "
                f"{bad} cannot be compared with it"
            )
            advice = SAME_ROWS
        else:
            what = f"{bad}, so nothing was submitted"
            advice = "mend them, or leave them out with --skip-invalid (skip_invalid=True)"
        super().__init__(what, field="rows", advice=advice)
        self.message = f"{what}:\n{sentences}{more}"  # each row's was made tidy when it was refused
        self.args = (self.message,)
        self.rows = list(rows)
        self.count = count
        self.accepted = accepted


class InvalidBatch(InvalidJob):
    """The request does not fit the batch's state, or the rows that it has already."""

    def __init__(self, batch: str, message: str, *, advice: str | None = None) -> None:
        super().__init__(f"batch {batch} {message}", field="batch", advice=advice)
        self.batch = batch


class InvalidQuery(InvalidJob):
    """What was asked of a list of jobs makes no sense.

    Args:
        field: `filter`, `cursor` or `limit`.
        position: of the filter's character at fault, from 1.
    """

    def __init__(
        self, message: str, *, field: str, position: int | None = None, advice: str | None = None
    ) -> None:
        super().__init__(message, field=field, advice=advice)
        self.position = position


class AddressRefused(InvalidJob):
    """A web address leads to no public host, or could be read in more than one way; nobody was asked."""

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message, field="url", advice=advice)


class HostFault(FleetError):
    """The host of a web address does not answer, or not within bounds; it may do so later."""


class AccessKeyNotValid(FleetError):
    """The API key is unknown, was revoked, or has expired."""


class ScopeMissing(FleetError):
    """The API key does not allow what was asked for."""

    def __init__(self, key: str, scope: str, scopes: Sequence[str]) -> None:
        super().__init__(
            f"access key {key} has the scopes {', '.join(scopes)}; this needs {scope}",
            advice="ask for a key with this scope",
        )
        self.scope = scope


class TooManyRequests(FleetError):
    """The API key was used faster than it may be.

    Args:
        after: when to come again.
    """

    def __init__(self, message: str, *, after: timedelta) -> None:
        super().__init__(message, advice=f"come again in {after.total_seconds():.3g} s")
        self.after = after


class BacklogFull(FleetError):
    """The limit of waiting jobs (`max_queued`) would be exceeded; nothing was accepted."""

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(
            f"{waiting:,} jobs wait already; the limit is {limit:,} (COMFYFLEET_MAX_QUEUED)",
            advice="submit later, or fewer at once",
        )
        self.waiting = waiting
        self.limit = limit


class OwnerBacklogFull(BacklogFull):
    """The limit of what an owner may have waiting would be exceeded; nothing was accepted."""

    def __init__(self, owner: str, waiting: int, limit: int) -> None:
        FleetError.__init__(
            self,
            f"owner {owner} has {waiting:,} jobs waiting; its limit is {limit:,}",
            advice="submit later, or fewer at once; comfyfleet owner limit sets another limit",
        )
        self.owner = owner
        self.waiting = waiting
        self.limit = limit


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


class JobNotFound(FleetError):
    """There is no such job, or its record has expired."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id}", advice="records of ended jobs expire")
        self.job_id = job_id


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

    def __init__(self, key: str, job_id: str) -> None:
        super().__init__(
            f"idempotency key {key!r} already made job {job_id} from another request",
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


class InvalidSettings(FleetError):
    """Settings are missing or invalid; the message names each by its variable."""


class FleetUnreachable(FleetError):
    """Redis does not answer, or refuses requests; the message shows its address without password."""


class KeyOfAnotherType(FleetError):
    """A key of the fleet holds a value of another type in Redis, which somebody else wrote there.

    Args:
        key: its name; None if it could not be found.
    """

    def __init__(self, message: str, *, key: str | None = None, advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.key = key


class StorageError(FleetError):
    """A request to S3 failed; unless a subclass says otherwise, it may succeed later."""


class StorageUnreachable(StorageError):
    """The endpoint does not answer."""


class BucketMissing(StorageError):
    """The bucket does not exist."""


class BucketForbidden(StorageError):
    """The S3 service denies access; the message names the operation."""


class CredentialsRefused(BucketForbidden):
    """The S3 service does not accept the credentials, or there are none.

    Args:
        code: the S3 error code; empty if no request was sent.
    """

    def __init__(self, message: str, *, code: str = "", advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.code = code


class BucketFull(StorageError):
    """The S3 service is full, or its quota is used up."""


class StorageFault(StorageError):
    """The S3 service, or a proxy before it, answered, but not as S3 does."""


class UnclearRefusal(StorageFault):
    """A 400 without an S3 error code, as a web server sends for a request that it cannot parse."""


class StorageRefused(StorageError):
    """The S3 service refused the request, and would refuse it again."""


class ForeignBucketFault(StorageError):
    """The bucket of an `s3://` input failed, perhaps temporarily; the fleet's own may be available."""


class ObjectMissing(StorageError):
    """There is no object under this key."""


class ObjectConflict(StorageError):
    """There is an object of other content under this key."""


def tidied(text: str, *, longest: int = _LONGEST) -> str:
    """Return a message cut to *longest* characters, with unprintable characters escaped."""
    return escaped(abridged(text, most=longest))
