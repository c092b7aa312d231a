"""The route of single jobs that are handed in."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from producer.aio import AsyncProducer
from producer.contract.errors import OwnerBacklogFull
from producer.contract.jobs import Job
from producer.contract.outcomes import Submitted
from producer.http.access import Fleet, Submitter, check_room, tier_of
from producer.http.heavy_submissions import turn_if_heavy
from producer.http.problems import Problem
from producer.http.requests import JobRequest, SubmitHeaders
from producer.http.responses import made_or_found
from producer.http.streams import Streams
from producer.http.strict_json import StrictRoute
from producer.http.views import JobView, submitted_answer

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)

#: How long `Prefer: wait` may hold a request, s.
_LONGEST_WAIT_S: Final = 60
_PREFER_WAIT: Final = re.compile(
    r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,20})\"?\s*(?=[,;]|$)", re.IGNORECASE
)


@router.post(
    "",
    status_code=201,
    response_model=JobView,
    responses=made_or_found("The job that the same key made before", JobView),
)
async def submit(
    request: Request,
    body: JobRequest,
    fleet: Fleet,
    key: Submitter,
    headers: Annotated[SubmitHeaders, Header()],
) -> Response:
    """Hand one job in. 201 for a new one; 200 for the one that the same request has made before."""
    tier_of(key, body.tier)
    options = body.options(key.owner, key=headers.idempotency_key)
    try:
        await check_room(fleet, key)
    except OwnerBacklogFull:
        # What the request has made before waits already.
        made = await fleet.made_before(body.source, **options)
        if made is None:
            raise
        submitted = Submitted(made, is_replay=True)
    else:
        async with turn_if_heavy(request, template=body.template):
            submitted = await fleet.submit_once(body.source, **options)
    told = {}
    wait_s = _wanted_wait(headers.prefer)
    if wait_s and (ended := await _ended(request, fleet, submitted.job, wait_s)):
        submitted = submitted._replace(job=ended)
        told["Preference-Applied"] = f"wait={wait_s}"
    return submitted_answer(submitted, headers=told)


def _wanted_wait(prefer: str | None) -> int:
    found = _PREFER_WAIT.search(prefer or "")
    return min(_LONGEST_WAIT_S, int(found[1])) if found else 0


async def _ended(request: Request, fleet: AsyncProducer, job: Job, wait_s: int) -> Job | None:
    """Return the job once it has ended, or as it is after a time, or as soon as nobody listens.

    Who waits holds a connection and follows the events, so it counts as a stream; None where there is no room for another.
    """
    streams: Streams = request.app.state.streams
    owner = request.state.key.owner
    try:
        streams.check_room(owner)
    except Problem:
        return None

    async def follow() -> None:
        async for _ in fleet.stream(job.id, timeout=timedelta(seconds=wait_s)):
            pass

    async def leave() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.ensure_future(follow()), asyncio.ensure_future(leave())]
    streams.begin(tasks[0], owner)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return await fleet.get(job.id)
