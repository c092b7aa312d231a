"""Jobs: the statuses and their transitions, and the models of records and events as read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from producer.contract.deliver import Copy, Deliver
from producer.contract.graph.json_values import has_depth
from producer.contract.ids import JobId, PromptId
from producer.contract.queues import Tier
from producer.contract.text_cleaning import abridged, is_whole, writable

#: Nesting levels of a value that a graph node returned; pydantic encodes at most 255.
_DEEPEST_VALUE: Final = 100


class JobStatus(StrEnum):
    """The status of a job. Redis stores the value; never rename one."""

    HELD = "held"  #: It is held by a person, or with its batch.
    QUEUED = "queued"  #: It waits for a node; a message on the broker wakes one.
    RUNNING = "running"  #: One attempt on one node holds its lease.
    SUCCEEDED = "succeeded"  #: Its artifacts are stored and listed.
    FAILED = "failed"  #: It is not tried again; the cause says why.
    CANCELLED = "cancelled"  #: Its cancellation was requested.
    EXPIRED = "expired"  #: No node started it before its start deadline.

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
    """The phase of a running job; within one attempt it only moves down this list."""

    PREPARING = "preparing"  #: Input files are uploaded to the node, the graph is completed.
    AHEAD = "ahead"  #: Its prompt waits in the node's own queue, behind the one that renders.
    RENDERING = "rendering"
    FETCHING = "fetching"  #: Output files are downloaded from the node and checked.
    STORING = "storing"  #: Files are uploaded to S3, the manifest beside the last.


class _Read(BaseModel):
    # Records of a newer version may have more fields; an older reader ignores them.
    model_config = ConfigDict(frozen=True, extra="ignore")


#: Characters of a text from a node that a record keeps; the fleet's own texts are shorter.
_LONGEST: Final = 4_000


def is_kept_as_it_is(text: str) -> bool:
    """Tell whether a record keeps a text from a node without a change."""
    return len(text) <= _LONGEST and is_whole(text)


def _kept(text: str) -> str:
    return writable(abridged(text, most=_LONGEST))


#: Text from a node. A lone surrogate in it is written as `\ud800`: pydantic encodes no JSON with
#: one, and a failure that cannot be recorded would only end with its lease.
ForeignText = Annotated[str, AfterValidator(_kept)]


class Artifact(_Read):
    """A file in S3 that a job made. Width and height are pixels.

    `kind` is the key under which the graph node listed it (`images`, `gifs`, `audio`, ...),
    `type` its folder in ComfyUI (`output` or `temp`), `name` its file name there.
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
    url: str | None = None  #: Presigned; only in answers to requests for it.


class InputFile(_Read):
    """A file that a graph reads, and where a worker gets it."""

    source: str  #: A key in the fleet's bucket, an `s3://bucket/key`, or `node:NAME`.
    name: str  #: The submitter's file name; its suffix is kept at the node.
    sha256: str | None = None
    bytes: int | None = None


class Progress(_Read):
    """The last progress from the node: step *value* of *max* in one graph node."""

    graph_node: ForeignText | None = None
    value: float = 0
    max: float = 0
    graph_nodes_done: int = 0
    graph_nodes: int = 0
    #: The part of the render's time that has passed, 0 to 1, by what each class took before on such a node.
    share: float | None = None

    @classmethod
    def complete(cls, graph_nodes: int = 0) -> Progress:
        """Return that of a job that has succeeded: what was heard last is mostly less than all."""
        return cls(graph_nodes_done=graph_nodes, graph_nodes=graph_nodes, share=1.0)

    @property
    def percent(self) -> float | None:
        """The done part of the render, 0 to 100; None if unknown.

        By time where the worker says it, else with each graph node counted alike.
        """
        if self.share is not None:
            return min(100.0, 100.0 * self.share)
        if not self.graph_nodes:
            return None
        step = min(1.0, self.value / self.max) if self.max else 0.0
        return min(100.0, 100.0 * (self.graph_nodes_done + step) / self.graph_nodes)


class JobError(_Read):
    """Why an attempt or a job ended without success."""

    cause: str  #: See `producer.contract.causes`: `invalid_graph`, `out_of_memory`, ...
    message: ForeignText
    graph_node: ForeignText | None = None
    node: ForeignText | None = None
    advice: ForeignText | None = None


class Attempt(_Read):
    """An attempt that ended without success, as the record has it."""

    number: int
    node: str | None
    charged: bool
    error: JobError
    ended_at: datetime
    started_ms: int | None = None  #: When it was claimed, Unix ms by Redis' clock.
    render_ms: int | None = None  #: How long the card was its own, until it failed or had rendered.
    fingerprint: str | None = None  #: Equal for failures of one kind: no numbers, ids or paths.


class Timings(_Read):
    """Seconds spent in each phase, of the attempt that runs or ended last."""

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
    row: int | None = None  #: Which row of its batch it is, or stands for, from 1.
    retry_of: JobId | None = None
    retried_as: JobId | None = None
    tier: Tier
    pool: str
    pin: str | None = None
    queue: str
    template: str
    shape: str | None = None  #: Equal for jobs that take as long on one kind of card.
    params: dict[str, Any] = Field(default_factory=dict)
    #: What stood in the graph that was handed in and is not in the template, by address as params.
    graph_values: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, InputFile] = Field(default_factory=dict)
    metadata: dict[str, str] = Field(default_factory=dict)
    extra_data: str | None = None  #: sha256 of what goes to the node beside the graph.
    secrets: list[str] = Field(default_factory=list)  #: Keys of it that are kept apart.
    hook: str = ""  #: Who is to be told of its end outside the fleet.
    deliver: Deliver | None = None  #: Where copies of its artifacts are put, beside them.
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
    notes: list[str] = Field(default_factory=list)  #: Of a success: what to know beside artifacts.
    copies: list[Copy] = Field(default_factory=list)  #: Of a success: what has come of each copy.
    created_at: datetime
    queued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    start_deadline: datetime
    run_within_s: float

    @property
    def set_values(self) -> dict[str, Any]:
        """All that is set in its template, by address."""
        return {**self.graph_values, **self.params}

    @field_validator("values", mode="before")
    @classmethod
    def _are_writable(cls, values: Any) -> Any:
        return as_writable(values) if isinstance(values, dict) else values


def as_writable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what graph nodes returned, with what is nested too deep for many a JSON writer as JSON text."""
    return {
        name: value if has_depth(value, most=_DEEPEST_VALUE) else json.dumps(value)
        for name, value in values.items()
    }


class JobEvent(_Read):
    """One change of a job; `n` counts the job's events from 1."""

    id: str  #: The entry's id in the event stream, to resume after.
    job: JobId
    n: int
    type: str  #: `submitted`, `claimed`, `progress`, `phase`, `requeued`, `moved`, or a terminal status.
    status: JobStatus
    attempt: int
    node: str | None = None
    phase: Phase | None = None
    progress: Progress | None = None
    cause: str | None = None
    owner: str = ""
    at: datetime
