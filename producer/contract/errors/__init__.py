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
      · TooManyOpenBatches  that of its batches which take rows
      · TooManyActions      that of its actions on many jobs which have not ended
  + JobNotFound
  + UnreadableRecord        a job's record exists, but is torn
  + BatchNotFound
  + WebhookNotFound
  + TemplateNotFound
  + TemplateChanged         it is not what the caller said that it is, so nothing was changed
  + ActionNotFound
  + ActionFailed            an action on many jobs ended before all were looked at
  + KeyReused               the idempotency key belongs to another request
  + LeaseLost               another attempt owns the job now; stop, write nothing
  + NodeNameTaken           another living worker holds this node name
  + JobNotSucceeded         raised by wait for a job that failed, was cancelled or expired
  + WaitTimeout
  + HostFault               the host of a web address does not answer, or not within bounds
  + FleetUnreachable        Redis does not answer, or refuses requests
  + KeyOfAnotherType        something else stands in Redis where the fleet has an index
    - UnreadableBatch       the record of a batch, or of its rows, is torn
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
  + CopyFailed              a copy of an artifact cannot be made as it was asked for; its job is none the worse
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

from producer.contract.errors.access import (
    AccessKeyNotValid,
    BacklogFull,
    OwnerBacklogFull,
    ScopeMissing,
    TooManyActions,
    TooManyOpenBatches,
    TooManyRequests,
)
from producer.contract.errors.base import (
    FleetError,
    tidied,
)
from producer.contract.errors.fleet import (
    FleetUnreachable,
    InvalidSettings,
    KeyOfAnotherType,
    UnreadableBatch,
)
from producer.contract.errors.records import (
    ActionFailed,
    ActionNotFound,
    BatchNotFound,
    JobNotFound,
    JobNotSucceeded,
    KeyReused,
    LeaseLost,
    NodeNameTaken,
    TemplateChanged,
    TemplateNotFound,
    UnreadableRecord,
    WaitTimeout,
    WebhookNotFound,
)
from producer.contract.errors.storage import (
    BucketForbidden,
    BucketFull,
    BucketMissing,
    CredentialsRefused,
    ForeignBucketFault,
    ObjectConflict,
    ObjectMissing,
    StorageError,
    StorageFault,
    StorageRefused,
    StorageUnreachable,
    UnclearRefusal,
)
from producer.contract.errors.submissions import (
    SAME_ROWS,
    AddressRefused,
    HostFault,
    InvalidBatch,
    InvalidGraph,
    InvalidInput,
    InvalidJob,
    InvalidParam,
    InvalidQuery,
    InvalidRows,
    NoNodeCanRun,
)

__all__ = [
    "SAME_ROWS",
    "AccessKeyNotValid",
    "ActionFailed",
    "ActionNotFound",
    "AddressRefused",
    "BacklogFull",
    "BatchNotFound",
    "BucketForbidden",
    "BucketFull",
    "BucketMissing",
    "CredentialsRefused",
    "FleetError",
    "FleetUnreachable",
    "ForeignBucketFault",
    "HostFault",
    "InvalidBatch",
    "InvalidGraph",
    "InvalidInput",
    "InvalidJob",
    "InvalidParam",
    "InvalidQuery",
    "InvalidRows",
    "InvalidSettings",
    "JobNotFound",
    "JobNotSucceeded",
    "KeyOfAnotherType",
    "KeyReused",
    "LeaseLost",
    "NoNodeCanRun",
    "NodeNameTaken",
    "ObjectConflict",
    "ObjectMissing",
    "OwnerBacklogFull",
    "ScopeMissing",
    "StorageError",
    "StorageFault",
    "StorageRefused",
    "StorageUnreachable",
    "TemplateChanged",
    "TemplateNotFound",
    "TooManyActions",
    "TooManyOpenBatches",
    "TooManyRequests",
    "UnclearRefusal",
    "UnreadableBatch",
    "UnreadableRecord",
    "WaitTimeout",
    "WebhookNotFound",
    "tidied",
]
