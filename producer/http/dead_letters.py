"""Routes of dead letters, for who administers the fleet: their list knows no owner."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from producer.aio import AsyncProducer
from producer.contract.dead_letters import DeadLetter
from producer.contract.errors import InvalidJob
from producer.http.access import Administrator, Fleet
from producer.http.problems import ProblemType, problem_of
from producer.http.responses import answers, made_or_found
from producer.http.strict_json import StrictRoute
from producer.http.views import JobView, Links, answer, job_view, submitted_answer

router = APIRouter(prefix="/v1/dead-letters", tags=["dead_letters"], route_class=StrictRoute)

JobId = Annotated[str, Path(max_length=100, examples=["01a202b8-2e5f-7533-81db-221426b72003"])]


class DeadLetterView(DeadLetter):
    """A failed job that a person should look at. Without `job` its record has expired, or cannot be read."""

    job: JobView | None = None
    links: Links


class DeadLettersView(BaseModel):
    """Dead letters, the newest first."""

    dead_letters: list[DeadLetterView]


class CausesView(BaseModel):
    """How many dead letters there are of each cause."""

    causes: dict[str, int]


class RedriveRequest(BaseModel):
    """What the job that is made again cannot take from the old one: the secrets of its `extra_data`."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"secrets": {"api_key_comfy_org": "..."}}]}
    )

    secrets: dict[str, Any] = Field(default_factory=dict)


@router.get("", response_model=DeadLettersView, responses=answers(403, 422, 503))
async def list_dead_letters(
    fleet: Fleet, _: Administrator, limit: Annotated[int, Query(ge=1, le=1_000)] = 50
) -> Response:
    """List dead letters, the newest first. One whose record has expired is told this once."""
    found = await fleet.dead_letters.list(limit)
    return answer(DeadLettersView.model_construct(dead_letters=[_view(one) for one in found]))


@router.get("/causes", response_model=CausesView, responses=answers(403, 503))
async def causes(fleet: Fleet, _: Administrator) -> Response:
    """Count all dead letters by cause."""
    return answer(CausesView(causes=dict(await fleet.dead_letters.causes())))


@router.get("/{job_id}", response_model=DeadLetterView, responses=answers(403, 404, 503))
async def read(job_id: JobId, fleet: Fleet, _: Administrator) -> Response:
    """Read one."""
    return answer(_view(await _found(job_id, fleet)))


@router.post(
    "/{job_id}/redrive",
    status_code=201,
    response_model=JobView,
    responses=made_or_found("The job that was made of it before", JobView, 404, 409),
)
async def redrive(
    job_id: JobId, fleet: Fleet, _: Administrator, body: RedriveRequest | None = None
) -> Response:
    """Submit a dead letter again as a new job, and take it off the list. Who asks again gets the same new job."""
    try:
        secrets = (body or RedriveRequest()).secrets
        made = await fleet.dead_letters.redrive_once(job_id, secrets=secrets)
    except InvalidJob as exc:
        if exc.field not in (None, "job", "graph"):
            raise
        await _found(job_id, fleet)
        raise problem_of(exc, ProblemType.CONFLICT) from exc
    return submitted_answer(made)


@router.delete("/{job_id}", status_code=204, responses=answers(403, 404, 503))
async def drop(job_id: JobId, fleet: Fleet, _: Administrator) -> Response:
    """Take a job off the list; its record stays until it expires."""
    await _found(job_id, fleet)
    await fleet.dead_letters.drop(job_id)
    return Response(status_code=204)


async def _found(job_id: str, fleet: AsyncProducer) -> DeadLetter:
    try:
        return await fleet.dead_letters.show(job_id)
    except InvalidJob as exc:
        raise problem_of(exc, ProblemType.NOT_FOUND) from exc


def _view(letter: DeadLetter) -> DeadLetterView:
    base = f"/v1/dead-letters/{letter.id}"
    return DeadLetterView.model_construct(
        **{**letter.__dict__, "job": job_view(letter.job) if letter.job else None},
        links=Links(self=base, redrive=f"{base}/redrive", job=f"/v1/jobs/{letter.id}"),
    )
