"""What can go wrong, as one tree. An error says what happened; worker.attempt.retry says what to do.

* FleetError
  + InvalidJob              the caller can mend the submission
    - InvalidGraph          the graph
      · InvalidParam        a value that is set in it, or its address: `params.6.text`
    - InvalidInput          a file the graph reads
    - NoNodeCanRun          no node of the pool has what the graph needs
    - InvalidRows           rows of a batch, each with its number and column
    - InvalidBatch          what is asked of a batch does not fit its state, or its rows
  + BacklogFull             as many jobs wait as may
  + JobNotFound
  + BatchNotFound
  + KeyReused               an idempotency key came back with another job
  + IllegalMove             a race that was lost cleanly, or a bug
  + LeaseLost               another attempt owns the job now; stop, write nothing
  + NodeNameTaken           another living worker holds this node name
  + JobNotSucceeded         what wait raises for a job that ended otherwise
  + WaitTimeout
  + RunDeadlinePassed       the attempt took longer than the job allows
  + DeliveryFailed          it was rendered, then the worker failed to store it
  + InvalidSettings         a setting is missing or makes no sense
  + FleetUnreachable        Redis does not answer, or will not serve us
  + NodeError               a GPU node or the ComfyUI on it
    - NodeUnreachable
    - NodeTimeout
    - NodeFault             it answered, but not as ComfyUI does
    - RequestTooLarge       it, or a proxy before it, takes no request of this size
    - PromptRejected        ComfyUI refused the graph; no retry will help
    - NodeLacks             it refused it for what it lacks, and another node has that
    - PromptFailed          ComfyUI accepted the graph, then a graph node raised
    - PromptIncomplete      it succeeded, but a graph node that saves has saved nothing
    - PromptInterrupted     somebody interrupted our prompt
    - PromptLost            neither in the node's queue nor in its history
    - PromptStalled         it runs, but makes no progress
    - HandedBack            another node could begin it sooner
    - NodeLeaves            the node is taken out of the fleet, its jobs go elsewhere
    - LeaseLapsed           its worker fell silent for longer than a lease
    - WorkerDied            workers of the node died of it, time and again
    - OutputDamaged         a file came truncated, empty or undecodable
  + StorageError            S3
    - StorageUnreachable
    - BucketMissing
    - BucketForbidden       it does not let us in, or lets us do less than we need
    - CredentialsRefused    a BucketForbidden: the store does not accept who we say we are
    - BucketFull
    - StoreFault            it answered, but not as S3 does
    - StorageRefused        the same request would be refused again
    - ForeignBucketFault    trouble with the bucket of an `s3://` input, which is not ours
    - ObjectMissing
    - ObjectConflict        the key holds other bytes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from producer.contract.texts import abridged, escaped

#: A message of a refusal has no more characters: it may repeat what somebody handed in.
_LONGEST: Final = 400

#: The same of what a node says, which may be all that is known of a fault.
_LONGEST_OF_NODE: Final = 2_000

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
        super().__init__(_tidy(message), advice=_tidy(advice) if advice else None)
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
        rows: the first of them, each a `producer.contract.batches.BadRow`.
        count: how many there are.
        accepted: the batch that the same idempotency key had accepted before.
    """

    def __init__(self, rows: Sequence[Any], *, count: int, accepted: str | None = None) -> None:
        told = "\n".join(f"  {row.sentence}" for row in rows)
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
        self.message = f"{what}:\n{told}{more}"  # each row's was made tidy when it was refused
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
        super().__init__(f"idempotency key {key!r} already made job {job_id} from another request")
        self.key = key
        self.job_id = job_id


class IllegalMove(FleetError):
    """The job may not take this status from where it is."""

    def __init__(self, job_id: str, status: str, target: str) -> None:
        super().__init__(f"job {job_id} is {status}, so it cannot become {target}")
        self.job_id = job_id
        self.status = status


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
        job: the ended job, a `producer.contract.jobs.Job`.
    """

    def __init__(self, job: Any, message: str, *, advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.job = job


class WaitTimeout(FleetError):
    """The wait was over before the job was; the job goes on."""

    def __init__(self, job_id: str, timeout_s: float, status: str, *, what: str = "job") -> None:
        super().__init__(f"{what} {job_id} is still {status} after {timeout_s:g} s; it goes on")
        self.job_id = job_id


class RunDeadlinePassed(FleetError):
    """The attempt took longer than the job's run_within."""

    def __init__(self, run_within_s: float) -> None:
        super().__init__(
            f"the attempt took longer than its {run_within_s:g} s",
            advice="submit it again with a longer run_within",
        )


class DeliveryFailed(FleetError):
    """It was rendered, and the worker failed to fetch or store it in a way that nobody foresaw."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"it was rendered, but the worker failed to store it: {reason[:200]}",
            advice="this is a bug of the worker; its log has the whole of it",
        )


class InvalidSettings(FleetError):
    """A setting is missing or makes no sense; the message names each by its variable."""


class FleetUnreachable(FleetError):
    """Redis does not answer at the address, or refuses us. The address carries no password."""


class NodeError(FleetError):
    """Something is wrong with a node, or with what it made of our prompt.

    `detail` is the message without the node's name, for where that stands already.
    """

    def __init__(self, node: str, message: str, *, advice: str | None = None) -> None:
        # On one line, so that no node writes lines of its own into a log.
        message = _tidy(" ".join(message.splitlines()), longest=_LONGEST_OF_NODE)
        super().__init__(f"node {node}: {message}", advice=advice)
        self.node = node
        self.detail = message


class NodeUnreachable(NodeError):
    """Nobody answers at the node's address."""


class NodeTimeout(NodeError):
    """The node took the connection, then was silent for too long."""


class NodeFault(NodeError):
    """The node answered, but not as ComfyUI does."""


class RequestTooLarge(NodeError):
    """An input file or a graph is larger than the node, or a proxy before it, takes.

    Another node may take it: each has a limit of its own.

    Args:
        graph_node: the id of the one that reads the file; None for a whole graph.
    """

    def __init__(self, node: str, what: str, *, graph_node: str | None = None) -> None:
        super().__init__(
            node,
            f"{what} is larger than it takes, or than a proxy before it takes (413)",
            advice="raise the limit: ComfyUI's --max-upload-size (MB), or the proxy's, as nginx'"
            " client_max_body_size",
        )
        self.graph_node = graph_node


class PromptRejected(NodeError):
    """ComfyUI refused the graph, or dropped a part of it.

    Args:
        node_errors: ComfyUI's own list, `{graph_node_id: {"class_type": str, "errors": [...]}}`.
    """

    def __init__(self, node: str, message: str, node_errors: dict[str, Any]) -> None:
        super().__init__(node, message)
        self.node_errors = node_errors


class NodeLacks(NodeError):
    """ComfyUI refused the graph for a class or model that it lacks, and another node has it."""


class PromptFailed(NodeError):
    """A graph node raised while it ran.

    Args:
        graph_node: its id.
        exception_type: the Python class ComfyUI names, as `torch.OutOfMemoryError`.
        class_type: the graph node's class, where it is known.
    """

    def __init__(
        self,
        node: str,
        message: str,
        *,
        graph_node: str | None,
        exception_type: str,
        class_type: str | None = None,
    ) -> None:
        super().__init__(node, message)
        self.graph_node = _tidy(graph_node) if graph_node else graph_node
        self.exception_type = exception_type
        self.class_type = class_type


class PromptIncomplete(NodeError):
    """The prompt succeeded, but a graph node that saves files lists none."""

    def __init__(self, node: str, graph_node: str) -> None:
        super().__init__(node, f"graph node {graph_node} saved nothing, yet the prompt succeeded")
        self.graph_node = graph_node


class PromptInterrupted(NodeError):
    """The prompt was interrupted at the node, and not by its own attempt."""


class PromptLost(NodeError):
    """The node knows the prompt neither as queued nor as finished: it restarted, or forgot."""


class PromptStalled(NodeError):
    """The prompt is at the node, but has shown no progress for too long."""


class HandedBack(NodeError):
    """The prompt waited at the node while another one could have begun; it was taken out again."""


class NodeLeaves(NodeError):
    """The node is taken out of the fleet while it runs the job."""


class LeaseLapsed(NodeError):
    """The node's worker fell silent for longer than a lease; another attempt takes over."""


class WorkerDied(NodeError):
    """Workers of the node died of one attempt so often that nobody takes it up once more."""

    def __init__(self, node: str, deaths: int) -> None:
        super().__init__(
            node,
            f"its worker died {deaths} times while it handled this attempt",
            advice="look at the worker's log, and at its memory: is an output too large for it?",
        )


class OutputDamaged(NodeError):
    """A file the node promised came truncated, empty, undecodable or not at all."""


class StorageError(FleetError):
    """S3 did not do as asked; the same request may succeed later."""


class StorageUnreachable(StorageError):
    """Nobody answers at the endpoint."""


class BucketMissing(StorageError):
    """The bucket does not exist."""


class BucketForbidden(StorageError):
    """The store does not let us in, or not do this; the message names the operation."""


class CredentialsRefused(BucketForbidden):
    """The store does not accept our credentials, or there are none.

    Args:
        code: the store's own word for it; empty when it was not asked.
    """

    def __init__(self, message: str, *, code: str = "", advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.code = code


class BucketFull(StorageError):
    """The store, or our part of it, takes nothing more."""


class StoreFault(StorageError):
    """The store, or a proxy before it, answered, but not as S3 does."""


class StorageRefused(StorageError):
    """The store is well, and will not do this however often it is asked."""


class ForeignBucketFault(StorageError):
    """The bucket of an `s3://` input has trouble that may pass; the fleet's own may be well."""


class ObjectMissing(StorageError):
    """There is no object under this key."""


class ObjectConflict(StorageError):
    """The key already holds other bytes than ours."""


def _tidy(text: str, *, longest: int = _LONGEST) -> str:
    """Return a message in which nothing is long, and nothing is a command to a terminal."""
    return escaped(abridged(text, most=longest))
