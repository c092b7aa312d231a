"""What can go wrong, as one tree. An error says what happened; `worker.attempt.retry` says what to do.

* FleetError
  + InvalidJob              the caller can mend the submission
    - InvalidGraph          the graph
      · InvalidParam        a value that is set in it, or its address: `params.6.text`
    - InvalidInput          a file the graph reads
    - NoNodeCanRun          no node of the pool has what the graph needs
    - InvalidRows           rows of a batch, each with its number and column
    - InvalidBatch          what is asked of a batch does not fit its state, or its rows
  + InvalidSettings         settings that are missing or make no sense, each by its variable
  + BacklogFull             as many jobs wait as may
  + JobNotFound
  + BatchNotFound
  + KeyReused               an idempotency key came back with another job
  + LeaseLost               another attempt owns the job now; stop, write nothing
  + NodeNameTaken           another living worker holds this node name
  + JobNotSucceeded         what wait raises for a job that ended otherwise
  + WaitTimeout
  + FleetUnreachable        Redis does not answer, or will not serve us
  + StorageError            S3
    - StorageUnreachable
    - BucketMissing
    - BucketForbidden       it does not let us in, or lets us do less than we need
      · CredentialsRefused  the S3 service does not accept who we say we are
    - BucketFull
    - StorageFault          it answered, but not as S3 does
      · UnclearRefusal      a 400 without a word of S3's: damaged on its way, or refused for good
    - StorageRefused        the same request would be refused again
      · NotSupported        the S3 service knows no such request
    - ForeignBucketFault    trouble with the bucket of an `s3://` input, which is not ours
    - ObjectMissing
    - ObjectConflict        the key holds other bytes

Of a worker (`worker.errors`); a caller meets them as the causes of failed jobs:

  + RunDeadlinePassed       the attempt took longer than the job allows
  + DeliveryFailed          it was rendered, then the worker failed to store it
  + NodeError               a GPU node or the ComfyUI on it
    - NodeUnreachable
    - NodeTimeout
    - NodeFault             it answered, but not as ComfyUI does
      · SpoolFault          its worker's own disk takes no file
    - RequestTooLarge       it, or a proxy before it, takes no request of this size
    - PromptRejected        ComfyUI refused the graph; no retry will help
    - NodeLacks             it refused it for what it lacks, and another node has that
    - PromptFailed          ComfyUI accepted the graph, then a graph node raised
    - PromptIncomplete      it succeeded, but a graph node that saves has saved nothing
    - PromptInterrupted     somebody interrupted our prompt
    - PromptLost            neither in the node's queue nor in its history
    - PromptStalled         it runs, but makes no progress
      · ExecutorEnded       it ended the thread that executes
    - HandedBack            another node could begin it sooner
    - NodeLeaves            the node is taken out of the fleet, its jobs go elsewhere
    - LeaseLapsed           its worker fell silent for longer than a lease
    - WorkerDied            workers of the node died of it, time and again
    - OutputDamaged         a file came truncated, empty or undecodable

Of the embedded stack (`infra.local`): BinaryNotFound, ComfyUnusable, ServiceFailed, StateDirInUse.

Signals that end an attempt and are no errors stand apart: `Shunned` (a claim that another node should
make), `JobCancelled` (somebody asked for its end), `Stopping` (the worker leaves, the job stays its own).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from producer.contract.text_cleaning import abridged, escaped

if TYPE_CHECKING:
    from producer.contract.batches import BadRow
    from producer.contract.jobs import Job

#: A message of a refusal has no more characters: it may repeat what somebody handed in.
_LONGEST: Final = 400

#: What to try when what a batch has accepted comes once more, and not as it was.
SAME_ROWS: Final = (
    "if these are the same rows, nothing is left to do; other rows need another idempotency key"
)


class FleetError(Exception):
    """Anything this project raises on purpose.

    Args:
        message: what happened, in a sentence a person can act on.
        advice: what to try next, when we know.
    """

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} ({self.advice})" if self.advice else self.message


class InvalidJob(FleetError):
    """The submission cannot become a job as it stands.

    Args:
        field: which argument of the submission, as `params.6.text` or `pool`.
        graph_node: the id of the graph node at fault.
    """

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        graph_node: str | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(tidied(message), advice=tidied(advice) if advice else None)
        self.field = field
        self.graph_node = graph_node


class InvalidGraph(InvalidJob):
    """The graph, or what is set in it, does not make sense."""


class InvalidParam(InvalidGraph):
    """A value that a job sets in its graph does not fit, or its address names no input.

    The field is `params.<address>`, and `inputs.<address>` where the value is a file.
    """


class InvalidInput(InvalidJob):
    """A file that the graph reads is missing, empty, too large or not what it should be."""


class NoNodeCanRun(InvalidJob):
    """Nodes are there, but none has the classes and models that the graph needs."""


class InvalidRows(InvalidJob):
    """Rows of a batch that cannot become jobs; none of its rows was accepted.

    Args:
        rows: the first of them.
        count: how many there are.
        accepted: the batch that the same idempotency key had accepted before.
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
    """What is asked of a batch does not fit its state, or the rows that it has already."""

    def __init__(self, batch: str, message: str, *, advice: str | None = None) -> None:
        super().__init__(f"batch {batch} {message}", field="batch", advice=advice)
        self.batch = batch


class BacklogFull(FleetError):
    """As many jobs wait as the fleet's settings allow; nothing was accepted."""

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(
            f"{waiting:,} jobs wait already; the limit is {limit:,} (COMFYFLEET_MAX_QUEUED)",
            advice="submit later, or fewer at once",
        )
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


class JobNotFound(FleetError):
    """There is no such job, or its record has expired."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id}", advice="records of ended jobs expire")
        self.job_id = job_id


class KeyReused(FleetError):
    """An idempotency key was used before, for another job."""

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
    """The job one waited for ended as failed, cancelled or expired.

    Args:
        job: the ended job.
    """

    def __init__(self, job: Job, message: str, *, advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.job = job


class WaitTimeout(FleetError):
    """The wait was over before the job was; the job goes on."""

    def __init__(self, job_id: str, timeout_s: float, status: str, *, what: str = "job") -> None:
        super().__init__(f"{what} {job_id} is still {status} after {timeout_s:g} s; it goes on")
        self.job_id = job_id


class InvalidSettings(FleetError):
    """A setting is missing or makes no sense; the message names each by its variable."""


class FleetUnreachable(FleetError):
    """Redis does not answer at the address, or refuses us. The address carries no password."""


class StorageError(FleetError):
    """S3 did not do as asked; the same request may succeed later."""


class StorageUnreachable(StorageError):
    """Nobody answers at the endpoint."""


class BucketMissing(StorageError):
    """The bucket does not exist."""


class BucketForbidden(StorageError):
    """The S3 service does not let us in, or not do this; the message names the operation."""


class CredentialsRefused(BucketForbidden):
    """The S3 service does not accept our credentials, or there are none.

    Args:
        code: the S3 service's own word for it; empty when it was not asked.
    """

    def __init__(self, message: str, *, code: str = "", advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.code = code


class BucketFull(StorageError):
    """The S3 service, or our part of it, takes nothing more."""


class StorageFault(StorageError):
    """The S3 service, or a proxy before it, answered, but not as S3 does."""


class UnclearRefusal(StorageFault):
    """A 400 without a code of S3's: a web server's complaint about a request it could not read."""


class StorageRefused(StorageError):
    """The S3 service is well, and will not do this however often it is asked."""


class ForeignBucketFault(StorageError):
    """The bucket of an `s3://` input has trouble that may pass; the fleet's own may be well."""


class ObjectMissing(StorageError):
    """There is no object under this key."""


class ObjectConflict(StorageError):
    """The key already holds other bytes than ours."""


def tidied(text: str, *, longest: int = _LONGEST) -> str:
    """Return a message in which nothing is long, and nothing is a command to a terminal."""
    return escaped(abridged(text, most=longest))
