"""Routes of jobs: hand in, list, read, cancel, hold, release, retry, fetch."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import RedirectResponse
from starlette.responses import Response

from producer.contract.errors import InvalidJob
from producer.contract.number_words import how_many
from producer.http.access import Fleet, Reader, Submitter, check_room, job_of, seen, tier_of
from producer.http.long_calls import its_turn
from producer.http.problems import Problem, ProblemType, problem_of
from producer.http.requests import (
    ListQuery,
    MoveRequest,
    RetryRequest,
)
from producer.http.responses import answers, made_or_found
from producer.http.strict_json import StrictRoute
from producer.http.views import (
    ArtifactLink,
    CancelledJobView,
    JobPageView,
    JobView,
    MovedJobView,
    answer,
    cancelled_view,
    job_view,
    moved_job_view,
    page_answer,
    submitted_answer,
)

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)

JobId = Annotated[str, Path(max_length=100, examples=["01a202b8-2e5f-7533-81db-221426b72003"])]


@router.get(
    "",
    response_model=JobPageView,
    responses=answers(403, 404, 409, 422, 503),
)
async def list_jobs(
    request: Request, fleet: Fleet, key: Reader, wanted: Annotated[ListQuery, Query()]
) -> Response:
    """List jobs, the newest first; `filter` is that of `comfyfleet job list`."""
    async with its_turn(request):
        page = await fleet.jobs(seen(key, wanted.filter), wanted.cursor, wanted.limit)
    return page_answer(page)


@router.get("/{job_id}", response_model=JobView, responses=answers(403, 404, 503))
async def read(job_id: JobId, fleet: Fleet, key: Reader) -> Response:
    """Read one job."""
    return answer(job_view(await job_of(fleet, key, job_id)))


@router.post("/{job_id}/cancel", response_model=CancelledJobView, responses=answers(403, 404, 503))
async def cancel(job_id: JobId, fleet: Fleet, key: Submitter) -> Response:
    """Request that a job be cancelled; `outcome` says whether it was, will be, or had ended before."""
    job = await job_of(fleet, key, job_id)
    outcome = await fleet.cancel(job.id)
    return answer(cancelled_view(await fleet.get(job.id), outcome))


@router.post("/{job_id}/hold", response_model=JobView, responses=answers(403, 404, 409, 503))
async def hold(job_id: JobId, fleet: Fleet, key: Submitter) -> Response:
    """Hold a job that waits for a node, until it is released."""
    job = await job_of(fleet, key, job_id)
    try:
        return answer(job_view(await fleet.hold(job.id)))
    except InvalidJob as exc:
        raise problem_of(exc, ProblemType.CONFLICT) from exc


@router.post("/{job_id}/release", response_model=JobView, responses=answers(403, 404, 503))
async def release(job_id: JobId, fleet: Fleet, key: Submitter) -> Response:
    """Release a held job; one that is not held stays as it is."""
    job = await job_of(fleet, key, job_id)
    return answer(job_view(await fleet.release(job.id)))


@router.post(
    "/{job_id}/move",
    response_model=MovedJobView,
    responses=answers(400, 403, 404, 408, 409, 413, 415, 422, 503),
)
async def move(job_id: JobId, fleet: Fleet, key: Submitter, body: MoveRequest) -> Response:
    """Have a job that waits do so in another tier or pool. One that is pinned stays with its node."""
    job = await job_of(fleet, key, job_id)
    tier = tier_of(key, body.tier) if body.tier else None
    try:
        moved = await fleet.move_job(job.id, tier=tier, pool=body.pool, dry_run=body.dry_run)
    except InvalidJob as exc:
        if exc.field != "job":
            raise
        raise problem_of(exc, ProblemType.CONFLICT) from exc
    return answer(moved_job_view(await fleet.get(job.id), moved))


@router.post(
    "/{job_id}/retry",
    status_code=201,
    response_model=JobView,
    responses=made_or_found("The job that was made of it before", JobView, 404, 409),
)
async def retry(
    job_id: JobId, fleet: Fleet, key: Submitter, body: RetryRequest | None = None
) -> Response:
    """Submit an ended job again as a new one. It is made once: who asks again gets the same new job."""
    job = await job_of(fleet, key, job_id)
    wanted = body or RetryRequest()
    if job.retried_as is None:  # else what was made of it waits already
        await check_room(fleet, key)
    tier = tier_of(key, wanted.tier or job.tier)
    try:
        made = await fleet.retry_once(job.id, tier=tier, pin=wanted.pin, secrets=wanted.secrets)
    except InvalidJob as exc:
        if exc.field not in (None, "job", "graph"):
            raise
        raise problem_of(exc, ProblemType.CONFLICT) from exc
    return submitted_answer(made)


@router.get(
    "/{job_id}/artifacts/{number}",
    status_code=302,
    response_class=RedirectResponse,
    responses=answers(
        403, 404, 503, also={200: ("Its address, with `redirect=false`", ArtifactLink)}
    ),
)
async def artifact(
    job_id: JobId,
    number: Annotated[
        int, Path(ge=0, le=1_000_000, description="Its place in `artifacts`, from 0.")
    ],
    fleet: Fleet,
    key: Reader,
    *,
    expires_s: Annotated[
        float, Query(ge=1, le=604_800, description="How long the link is valid.")
    ] = 3_600,
    redirect: Annotated[
        bool, Query(description="`false`: tell the address; a web page cannot read a redirect.")
    ] = True,
) -> Response:
    """Redirect to an artifact: a link that is valid for a time, under which it is saved, not shown."""
    job = await job_of(fleet, key, job_id)
    if number >= len(job.artifacts):
        raise Problem(
            ProblemType.NOT_FOUND,
            f"job {job.id} has {how_many(len(job.artifacts), 'artifact')}, counted from 0",
        )
    url = await fleet.url(job.artifacts[number], expires=timedelta(seconds=expires_s))
    headers = {"Cache-Control": "no-store"}
    if redirect:
        return RedirectResponse(url, 302, headers)
    return answer(ArtifactLink(url=url, expires_s=expires_s), headers=headers)
