"""Outcomes of calls: what was handed in, begun, or done to many jobs."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from producer.contract.batches import Batch
from producer.contract.jobs import Job


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
