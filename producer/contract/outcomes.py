"""Outcomes of calls: what was handed in, begun, or done to many jobs."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from producer.contract.batches import Batch
from producer.contract.jobs import Job, JobStatus


class Submitted(NamedTuple):
    """A job that was handed in.

    Args:
        job: its record as it is now.
        is_replay: whether the same request had made it before, under the same idempotency key.
    """

    job: Job
    is_replay: bool


class Begun(NamedTuple):
    """A batch that was begun.

    Args:
        batch: as it is now.
        is_replay: whether the same request had begun it before, under the same idempotency key.
    """

    batch: Batch
    is_replay: bool


class BulkAction(StrEnum):
    """What can be done with many jobs."""

    CANCEL = "cancel"
    HOLD = "hold"
    RELEASE = "release"
    RETRY = "retry"

    @property
    def statuses(self) -> tuple[JobStatus, ...]:
        """The statuses of jobs with which something happens."""
        return _STATUSES[self]


_STATUSES = {
    BulkAction.CANCEL: (JobStatus.HELD, JobStatus.QUEUED, JobStatus.RUNNING),
    BulkAction.HOLD: (JobStatus.QUEUED,),
    BulkAction.RELEASE: (JobStatus.HELD,),
    BulkAction.RETRY: (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED),
}


class Acted(NamedTuple):
    """What one call of `act` has done.

    Args:
        matched: jobs that it looked at and that the action fits.
        done: those that it has changed; none in a dry run.
        cursor: hand it in to go on; None when all were looked at.
    """

    matched: int
    done: int
    cursor: str | None


class ActionState(StrEnum):
    """Where an action on many jobs is that upkeep carries out."""

    WAITING = "waiting"  #: Upkeep has not begun it.
    RUNNING = "running"  #: It is carried out, a hundred jobs at a time.
    DONE = "done"  #: All jobs were looked at.
    FAILED = "failed"  #: It ended before: `error` says why. What it has done stays done.
    CANCELLED = "cancelled"  #: Somebody stopped it before. What it has done stays done.


class Refusal(BaseModel):
    """A job with which nothing was done, and why."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    job: str
    reason: str


class ActionRecord(BaseModel):
    """An action on many jobs that upkeep carries out, and how far it is. Times are aware and UTC.

    It means the jobs that were handed in before it was asked for.
    """

    # A newer version may write more; an older reader passes that over.
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    owner: str  #: Of the key that asked for it; "" for who holds Redis' password.
    action: BulkAction
    filter: str
    actor: str = ""  #: Who asked for it, as in the log of actions.
    reason: str = ""
    state: ActionState
    error: str | None = None  #: Why it failed.
    created_at: datetime
    started_at: datetime | None = None
    cancel_asked_at: datetime | None = None  #: When somebody asked that it stop.
    ended_at: datetime | None = None
    counted: int  #: Jobs that it fitted when it was asked for, as far as they were counted within a second.
    counted_all: bool  #: Whether there were no more.
    matched: int = 0  #: Jobs that it fitted when upkeep came to them.
    done: int = 0  #: Those that are as it wants them.
    refused: int = 0  #: Those that are not.
    refusals: tuple[Refusal, ...] = ()  #: The first five of these.

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.ended_at is not None
