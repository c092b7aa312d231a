"""Batches: jobs that were submitted together, and share a graph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, computed_field

from producer.contract.deliver import Deliver
from producer.contract.ids import BatchId
from producer.contract.jobs import InputFile
from producer.contract.json_texts import read_json
from producer.contract.queues import Needs, Tier

#: Rows that are packed together: enough to compress well, few enough to read a single row.
BUCKET_ROWS: Final = 100


class BatchState(StrEnum):
    """The state of a batch."""

    OPEN = "open"  #: Rows are still added; none of them is accepted yet.
    SEALED = "sealed"  #: All rows are accepted; some wait or run.
    FINISHED = "finished"  #: Every job has ended; the retry of one makes it sealed again.


class BatchCounts(BaseModel):
    """The number of a batch's jobs by status; of a job that was retried, its newest retry counts."""

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
        """The number of jobs in a terminal status."""
        return self.succeeded + self.failed + self.cancelled + self.expired


class Batch(BaseModel):
    """A batch as read. Times are aware and UTC.

    `rows` counts all rows, `skipped` those of them that were left out as invalid; `held` tells whether
    a person holds it, or its brake.
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
    hook: str = ""  #: Who is to be told of its end outside the fleet.
    deliver: Deliver | None = None  #: Where copies of its jobs' artifacts are put.
    max_failed: str | None = (
        None  #: As many failed jobs brake it: `40`, or a share of its rows: `5%`.
    )
    braked_at: datetime | None = None  #: It is held since then, as so many have failed.
    braked_why: str | None = None
    created_at: datetime
    sealed_at: datetime | None = None
    ended_at: datetime | None = None
    start_deadline: datetime | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def done(self) -> bool:
        """Whether all of its jobs have ended."""
        return self.state is BatchState.FINISHED

    @property
    def tenths(self) -> int:
        """How many tenths of its rows have ended, those left out not counted."""
        rows = self.rows - self.skipped
        return 10 * self.counts.ended // rows if rows > 0 else 0


@dataclass(frozen=True)
class BadRow:
    """A row that is no valid job, and why.

    Args:
        row: its number, from 1.
        column: the address at fault, as the caller wrote it; None if it is the row as a whole.
    """

    row: int
    column: str | None
    message: str
    advice: str | None = None

    @property
    def sentence(self) -> str:
        """Number, column, message and advice as one sentence."""
        where = f"row {self.row:,}" + (f", column {self.column}" if self.column else "")
        return f"{where}: {self.message}" + (f" ({self.advice})" if self.advice else "")


@dataclass(frozen=True)
class PackedRow:
    """One checked row: what its job sets beside what all rows share.

    Args:
        params: `{"6.text": value}`, addresses already resolved to graph node ids.
        inputs: `{"34.image": where the file is}`.
        place: the index of its job's needs in the batch's `Places`.
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
    hook: str = ""
    deliver: Deliver | None = None
    max_failed: str = ""
    start_within_s: float
    run_within_s: float


@dataclass(frozen=True)
class RowShapes:
    """The shapes of a batch's rows, by the values that tell them apart.

    Args:
        by: addresses of the values that the shape of a row may depend on.
        found: shape by `key`. There may be more of them than are kept.
    """

    by: frozenset[str] = frozenset()
    found: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; nothing where it is empty or torn, as no job needs its shape."""
        try:
            given = read_json(text or "{}")
            return cls(frozenset(map(str, given["by"])), dict(given["found"]))
        except (ValueError, TypeError, KeyError):
            return cls()

    def to_json(self) -> str:
        """Write it as one field of a batch's record; nothing where there is nothing."""
        if not self.found:
            return ""
        return json.dumps({"by": sorted(self.by), "found": self.found}, separators=(",", ":"))

    def key(self, params: Mapping[str, Any]) -> str:
        """Return what a row's own params say of its shape."""
        deciding = sorted(self.by & params.keys())
        return json.dumps([[address, params[address]] for address in deciding]) if deciding else ""

    def of(self, params: Mapping[str, Any]) -> str:
        """Return the shape of a row with these params; empty where it is not kept."""
        return self.found.get(self.key(params), "")


#: The distinct needs of a batch's rows, which name them by index: one for most batches, several where a column sets a model.
Places = tuple[Needs, ...]
