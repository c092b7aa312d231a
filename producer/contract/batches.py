"""Batches: jobs that were submitted together, and share a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, computed_field

from producer.contract.ids import BatchId
from producer.contract.jobs import InputFile
from producer.contract.queues import Needs, Tier

#: Rows that are packed together: enough for them to share what they repeat, few enough to read one.
BUCKET_ROWS: Final = 100


class BatchState(StrEnum):
    """How far a batch is."""

    OPEN = "open"  #: Rows are still handed in; none of them is accepted yet.
    SEALED = "sealed"  #: All rows are accepted; some wait or run.
    FINISHED = "finished"  #: Every job has ended; the retry of one makes it sealed again.


class BatchCounts(BaseModel):
    """How many of a batch's jobs are where; a job that was made again counts as its newest."""

    model_config = ConfigDict(frozen=True)

    waiting: int = 0  #: Rows that have no record yet; they are fed to the queue in a window.
    held: int = 0
    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0

    @property
    def ended(self) -> int:
        """How many have ended, however."""
        return self.succeeded + self.failed + self.cancelled + self.expired


class Batch(BaseModel):
    """A batch as read. Times are aware and UTC.

    `rows` counts what was handed in, `skipped` what of it was left out as invalid, `held` says that a
    person keeps it back.
    """

    model_config = ConfigDict(frozen=True)

    id: BatchId
    name: str = ""
    state: BatchState
    held: bool = False
    rows: int
    skipped: int = 0
    counts: BatchCounts
    owner: str = ""
    idempotency_key: str | None = None
    tier: Tier
    pool: str
    pin: str | None = None
    template: str
    created_at: datetime
    sealed_at: datetime | None = None
    ended_at: datetime | None = None
    start_deadline: datetime | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def done(self) -> bool:
        """Whether all of its jobs have ended."""
        return self.state is BatchState.FINISHED


@dataclass(frozen=True)
class BadRow:
    """A row that cannot become a job, and why.

    Args:
        row: its number, from 1.
        column: the address at fault, as it was handed in; None if it is the row as a whole.
    """

    row: int
    column: str | None
    message: str
    advice: str | None = None

    @property
    def sentence(self) -> str:
        """The whole of it, for a person."""
        where = f"row {self.row:,}" + (f", column {self.column}" if self.column else "")
        return f"{where}: {self.message}" + (f" ({self.advice})" if self.advice else "")


@dataclass(frozen=True)
class PackedRow:
    """One row, checked: what its job sets beside what all rows share.

    Args:
        params: `{"6.text": value}`, addresses already resolved to graph node ids.
        inputs: `{"34.image": where the file is}`.
        place: which of the batch's places its job goes to.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, InputFile] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    place: int = 0


@dataclass(frozen=True, kw_only=True)
class BatchSpec:
    """What all jobs of a batch share; durations are seconds, params as in `PackedRow`."""

    template: str
    tier: Tier
    pool: str
    pin: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, InputFile] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    extra_data: str | None = None
    secrets: tuple[str, ...] = ()
    added_secrets: tuple[str, ...] = ()
    start_within_s: float
    run_within_s: float


#: What a batch's rows need of a node; most batches have one place, one with a column of models more.
Places = tuple[Needs, ...]
