"""Bodies of requests, as they are checked before the library is asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from producer.contract.errors import InvalidJob
from producer.contract.graph.graph import GraphLike
from producer.contract.graph.named_graphs import JsonObject, NamedGraph
from producer.contract.queues import Tier
from producer.http.request_flaws import NAME_PATTERN
from producer.intake.request import JobOptions

EXAMPLE_GRAPH: Final[dict[str, Any]] = {
    "3": {
        "class_type": "EmptyImage",
        "inputs": {"width": 512, "height": 512, "batch_size": 1, "color": 0},
    },
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "a"}},
}

# Strict: JSON says what it means, and 0 is no `false`, nor is "60" a number.
Flag = Annotated[bool, Field(strict=True)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=315_360_000)]
Name = Annotated[str, Field(min_length=1, max_length=63, pattern=NAME_PATTERN)]


# The library says in one sentence what is wrong with it; of a union each branch would.
MaxFailed = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 9_999_999_999},
                {"type": "string", "maxLength": 20, "examples": ["5%"]},
                {"type": "null"},
            ]
        }
    ),
]


def _as_text(given: object) -> object:
    # Numbers, also as text, would be taken for seconds since 1970.
    if isinstance(given, str) and given[4:5] == "-":
        return given
    raise ValueError("expected a date and time with its zone, as 2026-11-28T06:00:00Z")


Moment = Annotated[AwareDatetime, BeforeValidator(_as_text)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SubmitHeaders(BaseModel):
    """Headers of a request that hands something in.

    `Idempotency-Key` makes the same request, sent again, give the same job. `Prefer: wait=N` has the answer wait
    for the job's end, for N seconds at most.
    """

    idempotency_key: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    prefer: Annotated[str, Field(max_length=200)] | None = None


def one_key(named: str | None, *, header: str | None) -> str | None:
    """Return the idempotency key that a body or a header names.

    Raises:
        InvalidJob: they name different ones.
    """
    if header is not None and named not in (None, header):
        raise InvalidJob(
            "the header Idempotency-Key and the body name different keys",
            field="idempotency_key",
            advice="name it once",
        )
    return named if header is None else header


class ListQuery(BaseModel):
    """Which part of which list: `filter` is that of `comfyfleet job list`, `cursor` comes from the part before."""

    model_config = ConfigDict(extra="forbid")

    filter: Annotated[str, Field(max_length=4_000, examples=["status:failed"])] = ""
    cursor: Annotated[str, Field(max_length=20_000)] | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 50


class DeliverRequest(_Body):
    """Copies of what the job makes, put into a bucket that the operator lists, once the job has succeeded.

    `to` has placeholders: `{job}`, `{batch}`, `{row}`, `{n}`, `{owner}`, `{graph_node}`, `{name}`, and `{ext}` at its end.
    """

    to: Annotated[str, Field(max_length=2_000, examples=["s3://shop/{owner}/{job}-{n}{ext}"])]
    metadata: Literal["keep", "strip"] = "keep"
    format: Literal["webp", "jpeg", "png"] | None = None
    quality: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None
    thumbnail: Annotated[int, Field(strict=True, ge=16, le=4_096)] | None = None


class JobRequest(_Body):
    """A job to hand in. Its owner is that of the key."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"graph": EXAMPLE_GRAPH, "params": {"3.color": 255}},
                {"template": "portrait", "params": {"3.color": 255}},
            ]
        },
    )

    #: ComfyUI's API format, bare or in an envelope.
    graph: dict[str, Any] | None = None
    template: Name | None = None  #: The name of a template, in place of `graph`.
    params: dict[str, Any] = Field(default_factory=dict)  #: Values by address, as `6.text`.
    #: Files by address: `{"upload": ID}`, `{"url": ...}`, `{"base64": ...}`, `{"artifact": {"job": ID}}` or `{"s3": ...}`.
    inputs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    extra_data: dict[str, Any] = Field(default_factory=dict)
    pool: Name = "default"
    tier: Tier = Tier.DEFAULT
    pin: Name | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    hook: Name | None = None
    deliver: DeliverRequest | None = None
    idempotency_key: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    start_within_s: Seconds | None = None
    run_within_s: Seconds | None = None

    @property
    def source(self) -> GraphLike:
        """What it is made from.

        Raises:
            InvalidJob: it names a graph and a template, or neither.
        """
        if (self.graph is None) == (self.template is None):
            found = "neither of them" if self.graph is None else "both"
            raise InvalidJob(
                f"expected either graph, or template with the name of one; there is {found}",
                field="graph",
            )
        return NamedGraph(self.template) if self.template else JsonObject(self.graph or {})

    def options(self, owner: str, *, key: str | None) -> JobOptions:
        """Return the arguments of `Producer.submit`.

        Raises:
            InvalidJob: header and body name different idempotency keys.
        """
        key = one_key(self.idempotency_key, header=key)
        return JobOptions(
            params=self.params,
            inputs=self.inputs,
            extra_data=self.extra_data,
            pool=self.pool,
            tier=self.tier,
            pin=self.pin,
            metadata=self.metadata,
            owner=owner,
            hook=self.hook or "",
            deliver=self.deliver.model_dump(exclude_unset=True) if self.deliver else None,
            idempotency_key=key,
            start_within=_duration(self.start_within_s),
            run_within=_duration(self.run_within_s),
        )


class BatchRequest(JobRequest):
    """A batch to open: what all of its rows share."""

    tier: Tier = Tier.BATCH
    name: Annotated[str, Field(max_length=256)] = ""
    #: Once as many jobs have failed by their own fault, a number or a share as `5%`, the batch is held.
    max_failed: MaxFailed = None


class RetryRequest(_Body):
    """What a retry may have otherwise than the job that is made again."""

    tier: Tier | None = None
    pin: Name | None = None
    secrets: dict[str, Any] = Field(default_factory=dict)


class MoveRequest(_Body):
    """Where what waits is to go: a tier, a pool, or both. Count first, by `dry_run`."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"tier": "idle", "dry_run": True}]}
    )

    tier: Tier | None = None
    pool: Name | None = None
    dry_run: Flag = False


class MoveJobsRequest(MoveRequest):
    """Which jobs are to go where: those of a filter (terms, or the word `all`) that wait, 10,000 at most."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"filter": "tier:batch", "tier": "idle", "dry_run": True}]},
    )

    filter: Annotated[str, Field(max_length=4_000)]


def _duration(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
