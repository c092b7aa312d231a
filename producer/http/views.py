"""What the API shows of jobs and batches: the records as they are, with links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.responses import Response

from producer.contract.batches import BadRow, Batch
from producer.contract.cancel_outcomes import BatchCancelled, Cancelled
from producer.contract.job_pages import JobPage
from producer.contract.jobs import Artifact, Job
from producer.contract.outcomes import Submitted

JSON: Final = "application/json"
View = TypeVar("View", bound=BaseModel)
_TOLD: Final = 1_000
#: What can be done with a job, each with its path below the job's.
_JOB_VERBS: Final = tuple(
    (verb, f"/{verb}")
    for verb in ("events", "preview", "cancel", "hold", "release", "move", "retry")
)


class Links(BaseModel):
    """Where a job or batch is, and what can be done with it; paths of this server."""

    model_config = ConfigDict(extra="allow")

    self: str


class ArtifactView(Artifact):
    """A file that a job made, and where it is fetched."""

    links: Links


class JobView(Job):
    """A job. `done` says whether it has ended, whatever statuses there will be."""

    artifacts: list[ArtifactView] = Field(default_factory=list)  # type: ignore[assignment]
    links: Links


class CancelledJobView(JobView):
    """A job whose cancellation was requested; `outcome` says which side of the race won."""

    outcome: Cancelled


class MovedJobView(JobView):
    """A job that was to move; `moved` is 1, or 0 where it was there already."""

    moved: int


class MovedView(BaseModel):
    """How many jobs went elsewhere, or would in a dry run."""

    moved: int


class ArtifactLink(BaseModel):
    """Where an artifact lies for a while: who has the address needs no key."""

    url: str
    expires_s: float


class JobPageView(BaseModel):
    """A part of a list, the newest first. With `cursor`, and the same filter, the next part comes."""

    jobs: list[JobView]
    cursor: str | None = None


class BatchView(Batch):
    """A batch."""

    links: Links


class BatchPageView(BaseModel):
    """Batches, the newest first."""

    batches: list[BatchView]


class LeftOut(BaseModel):
    """A row that was left out, and why; rows count from 1."""

    row: int
    column: str | None = None
    message: str
    advice: str | None = None


class RowsView(BatchView):
    """A batch to which rows were added."""

    left_out: list[LeftOut] = Field(default_factory=list)  #: Of this part, the first 1,000.


class MovedBatchView(BatchView):
    """A batch of which something was to move; `moved` counts its jobs that did, or would in a dry run."""

    moved: int


class CancelledBatchView(BaseModel):
    """A batch whose cancellation was requested. One that was still open is deleted, so nothing is shown of it."""

    outcome: BatchCancelled
    batch: BatchView | None = None


def job_view(job: Job) -> JobView:
    """Return a job as the API shows it."""
    return _made(JobView, _fields(job))


def cancelled_view(job: Job, outcome: Cancelled) -> CancelledJobView:
    """Return a job as the API shows it after a request to cancel it."""
    return CancelledJobView.model_construct(**_fields(job), outcome=outcome)


def moved_job_view(job: Job, moved: int) -> MovedJobView:
    """Return a job as the API shows it after a move."""
    return MovedJobView.model_construct(**_fields(job), moved=moved)


def moved_batch_view(batch: Batch, moved: int) -> MovedBatchView:
    """Return a batch as the API shows it after a move."""
    return MovedBatchView.model_construct(**batch_view(batch).__dict__, moved=moved)


def batch_view(batch: Batch) -> BatchView:
    """Return a batch as the API shows it."""
    base = f"/v1/batches/{batch.id}"
    verbs = ("rows", "seal", "events", "cancel", "hold", "release", "move")
    links = {verb: f"{base}/{verb}" for verb in verbs}
    files = {name: f"{base}/{name}.jsonl" for name in ("results", "errors")}
    return BatchView.model_construct(**batch.__dict__, links=Links(self=base, **links, **files))


def rows_view(batch: Batch, left_out: Sequence[BadRow]) -> RowsView:
    """Return a batch as the API shows it after rows were added."""
    told = [LeftOut.model_construct(**asdict(row)) for row in left_out[:_TOLD]]
    return RowsView.model_construct(**batch_view(batch).__dict__, left_out=told)


def answer(
    view: BaseModel, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return a view as JSON, without what is None."""
    return Response(view.model_dump_json(exclude_none=True), status, headers, JSON)


def page_answer(page: JobPage) -> Response:
    """Return a page of jobs as JSON: what `answer` says of a `JobPageView`, without a model of each job."""
    cursor = f',"cursor":{to_json(page.cursor).decode()}' if page.cursor is not None else ""
    jobs = ",".join(map(_job_json, page.jobs))
    return Response(f'{{"jobs":[{jobs}]{cursor}}}', media_type=JSON)


def submitted_answer(submitted: Submitted, *, headers: dict[str, str] | None = None) -> Response:
    """Return a job that a request has made: 201, or 200 where it was made before."""
    job, is_replay = submitted
    told = {"Location": f"/v1/jobs/{job.id}", **(headers or {})}
    if is_replay:
        told["Idempotent-Replayed"] = "true"
    return answer(job_view(job), status=200 if is_replay else 201, headers=told)


def _made(view: type[View], fields: dict[str, Any], more: dict[str, Any] | None = None) -> View:
    """Return a view of which every field is given, as `model_construct` does; that takes ten times as long."""
    made = view.__new__(view)
    object.__setattr__(made, "__dict__", fields)
    object.__setattr__(made, "__pydantic_fields_set__", set())  # nobody asks which were given
    object.__setattr__(made, "__pydantic_extra__", more)
    object.__setattr__(made, "__pydantic_private__", None)
    return made


def _job_json(job: Job) -> str:
    """Return a job as its view is written: the record, and its links behind it."""
    if job.artifacts:  # which have links, too
        return job_view(job).model_dump_json(exclude_none=True)
    record = job.model_dump_json(exclude_none=True)
    return f'{record[:-1]},"links":{to_json(_links(job)).decode()}}}'


def _links(job: Job) -> dict[str, str]:
    base = f"/v1/jobs/{job.id}"
    links = {"self": base, **{verb: base + path for verb, path in _JOB_VERBS}}
    if job.batch:
        links["batch"] = f"/v1/batches/{job.batch}"
    return links


def _fields(job: Job) -> dict[str, Any]:
    links = _links(job)
    base = links.pop("self")
    artifacts = [
        _made(
            ArtifactView,
            {
                **artifact.__dict__,
                "links": _made(Links, {"self": f"{base}/artifacts/{number}"}, {}),
            },
        )
        for number, artifact in enumerate(job.artifacts)
    ]
    return {**job.__dict__, "artifacts": artifacts, "links": _made(Links, {"self": base}, links)}
