"""Jobs: the statuses and their moves, and what a record says."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from producer.contract.graph.json_values import has_depth
from producer.contract.ids import JobId, PromptId
from producer.contract.queues import Tier
from producer.contract.text_cleaning import abridged, writable

#: Levels of a value that a graph node returned; pydantic writes no more than 255.
_DEEPEST_VALUE: Final = 100


class JobStatus(StrEnum):
    """Where a job is. The value is what Redis stores; never rename one."""

    HELD = "held"  #: A person or an open batch keeps it back.
    QUEUED = "queued"  #: It waits for a node; a message on the broker wakes one.
    RUNNING = "running"  #: One attempt on one node holds its lease.
    SUCCEEDED = "succeeded"  #: Its artifacts are stored and listed.
    FAILED = "failed"  #: It will not be tried again; the cause says why.
    CANCELLED = "cancelled"  #: Somebody asked for its end.
    EXPIRED = "expired"  #: Nobody started it before its start deadline.

    @property
    def is_terminal(self) -> bool:
        """Whether a job stays in this status for ever."""
        return not _NEXT[self]


_NEXT: Final[dict[JobStatus, frozenset[JobStatus]]] = {
    JobStatus.HELD: frozenset(
        {JobStatus.QUEUED, JobStatus.CANCELLED, JobStatus.EXPIRED, JobStatus.FAILED}
    ),
    JobStatus.QUEUED: frozenset(
        {
            JobStatus.HELD,
            JobStatus.RUNNING,
            JobStatus.CANCELLED,
            JobStatus.EXPIRED,
            JobStatus.FAILED,
        }
    ),
    JobStatus.RUNNING: frozenset(
        {JobStatus.QUEUED, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED}
    ),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
    JobStatus.EXPIRED: frozenset(),
}


def sources_of(target: JobStatus) -> tuple[JobStatus, ...]:
    """Return the statuses from which a job may become *target*."""
    return tuple(source for source, targets in _NEXT.items() if target in targets)


class Phase(StrEnum):
    """How far a running job is; it may only go down this list, within one attempt."""

    PREPARING = "preparing"  #: Input files travel to the node, the graph is checked.
    AHEAD = "ahead"  #: In the node's own queue, behind the prompt that renders.
    RENDERING = "rendering"
    FETCHING = "fetching"  #: Files come from the node and are checked.
    STORING = "storing"  #: Files go to S3, the manifest last.


class _Read(BaseModel):
    # Records of a newer version may carry more fields; an older reader passes them over.
    model_config = ConfigDict(frozen=True, extra="ignore")


#: Characters of what a node said that a record keeps; errors of ours are shorter by themselves.
_LONGEST: Final = 4_000


def _kept(text: str) -> str:
    return writable(abridged(text, most=_LONGEST))


#: What a node may have said. A lone surrogate in it is shown as `\ud800`: pydantic writes no
#: JSON that holds one, and a failure that cannot be written down would end with its lease.
ForeignText = Annotated[str, AfterValidator(_kept)]


class Artifact(_Read):
    """A file in S3 that a job made.

    `kind` is the key under which the graph node listed it (`images`, `gifs`, `audio`, ...),
    `type` the ComfyUI folder it lay in (`output` or `temp`), `name` its file name there.
    """

    key: str
    graph_node: ForeignText
    index: int
    kind: ForeignText
    type: ForeignText
    name: ForeignText
    subfolder: ForeignText = ""
    media_type: str
    bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None
    url: str | None = None  #: Presigned, and only in answers that were asked for it.


class InputFile(_Read):
    """A file that a graph reads, and where a worker gets it."""

    source: str  #: A key in the fleet's bucket, an `s3://bucket/key`, or `node:NAME`.
    name: str  #: What the submitter calls it; its extension travels to the node.
    sha256: str | None = None
    bytes: int | None = None


class Progress(_Read):
    """The last word from the node: step *value* of *max* in one graph node."""

    graph_node: ForeignText | None = None
    value: float = 0
    max: float = 0
    graph_nodes_done: int = 0
    graph_nodes: int = 0

    @property
    def percent(self) -> float | None:
        """How much of the graph is done, every graph node counted alike; None if unknown."""
        if not self.graph_nodes:
            return None
        step = min(1.0, self.value / self.max) if self.max else 0.0
        return min(100.0, 100.0 * (self.graph_nodes_done + step) / self.graph_nodes)


class JobError(_Read):
    """Why an attempt or a job ended badly."""

    cause: str  #: One word of worker.attempt.retry's table: `invalid_graph`, `out_of_memory`, ...
    message: ForeignText
    graph_node: ForeignText | None = None
    node: ForeignText | None = None
    advice: ForeignText | None = None


class Attempt(_Read):
    """A try that is over without success, as the record remembers it."""

    number: int
    node: str | None
    charged: bool
    error: JobError
    ended_at: datetime


class Timings(_Read):
    """Seconds spent a phase, of the attempt that is running or ended last."""

    queued: float | None = None
    preparing: float | None = None
    ahead: float | None = None
    rendering: float | None = None
    fetching: float | None = None
    storing: float | None = None


class Job(_Read):
    """One job's record, as read. Times are aware and UTC; durations are seconds."""

    id: JobId
    status: JobStatus
    done: bool
    phase: Phase | None = None
    attempt: int
    charged_attempts: int = 0
    free_attempts: int = 0
    attempts: list[Attempt] = Field(default_factory=list)
    owner: str = ""
    idempotency_key: str | None = None
    batch: str | None = None
    retry_of: JobId | None = None
    retried_as: JobId | None = None
    tier: Tier
    pool: str
    pin: str | None = None
    queue: str
    template: str
    params: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, InputFile] = Field(default_factory=dict)
    metadata: dict[str, str] = Field(default_factory=dict)
    extra_data: str | None = None  #: sha256 of what goes to the node beside the graph.
    secrets: list[str] = Field(default_factory=list)  #: Keys of it that are kept apart.
    node: str | None = None
    prompt_id: PromptId | None = None
    waiting_for: str | None = None
    cause: str | None = None
    error: JobError | None = None
    cancel_requested: bool = False
    progress: Progress | None = None
    timings: Timings = Field(default_factory=Timings)
    artifacts: list[Artifact] = Field(default_factory=list)
    values: dict[str, Any] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)  #: Of a success: what is not there, and why.
    created_at: datetime
    queued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    start_deadline: datetime
    run_within_s: float

    @field_validator("values", mode="before")
    @classmethod
    def _are_writable(cls, values: Any) -> Any:
        """Give what a graph node nested too deep for many a JSON writer as JSON text."""
        if not isinstance(values, dict):
            return values
        return {
            name: value if has_depth(value, most=_DEEPEST_VALUE) else json.dumps(value)
            for name, value in values.items()
        }


class JobEvent(_Read):
    """One change of a job, in the order of its number `n`."""

    id: str  #: The stream's id: resume after it.
    job: JobId
    n: int
    type: str  #: `submitted`, `claimed`, `progress`, `phase`, `requeued`, or a terminal status.
    status: JobStatus
    attempt: int
    node: str | None = None
    phase: Phase | None = None
    progress: Progress | None = None
    cause: str | None = None
    at: datetime
