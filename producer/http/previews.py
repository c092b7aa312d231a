"""Previews over HTTP: the newest picture of a job that renders, and word of it among the events of the job."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path
from starlette.responses import Response

from producer.aio import AsyncProducer
from producer.contract.errors import FleetError
from producer.contract.ids import JobId
from producer.contract.jobs import Job, JobStatus
from producer.contract.previews import PreviewNote
from producer.http.access import Fleet, Reader, job_of
from producer.http.event_feed import EventFeed
from producer.http.problems import Problem, ProblemType
from producer.http.responses import answers
from producer.http.strict_json import StrictRoute
from producer.http.views import answer

router = APIRouter(prefix="/v1/jobs", tags=["events"], route_class=StrictRoute)

#: How often a preview is looked for, s; nodes hand them on as often at most.
_EVERY_S: Final = 1.0
#: It comes from a node as it is, so it is shown as a picture or not at all.
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
#: The header that tells of a picture what `/preview-note` does, as JSON.
NOTE: Final = "Preview-Note"
_PICTURE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The picture",
        "content": {"image/jpeg": {}, "image/png": {}},
        "headers": {
            NOTE: {
                "description": "When, of which attempt, by which graph node; JSON",
                "required": True,
                "schema": {"type": "string"},
            }
        },
    }
}
_HOW: Final = (
    "a node sends previews where its ComfyUI runs with --preview-method; ask once a second"
)


@router.get(
    "/{job_id}/preview", response_class=Response, responses=_PICTURE | answers(403, 404, 503)
)
async def preview(
    job_id: Annotated[str, Path(max_length=100)], fleet: Fleet, key: Reader
) -> Response:
    """Fetch the newest preview of a job that renders; while somebody asks, there is a new one each second."""
    job = await job_of(fleet, key, job_id)
    found = await fleet.preview(job.id) if job.status is JobStatus.RUNNING else None
    if found is None:
        raise _none(job)
    told = found.model_dump(mode="json", exclude_none=True)
    return Response(found.content, 200, {**_HEADERS, NOTE: json.dumps(told)}, found.media_type)


@router.get("/{job_id}/preview-note", response_model=PreviewNote, responses=answers(403, 404, 503))
async def preview_note(
    job_id: Annotated[str, Path(max_length=100)], fleet: Fleet, key: Reader
) -> Response:
    """Tell of the newest preview without its picture: whether there is another one."""
    job = await job_of(fleet, key, job_id)
    found = await fleet.preview_note(job.id) if job.status is JobStatus.RUNNING else None
    if found is None:
        raise _none(job)
    return answer(found, headers={"Cache-Control": "no-store"})


def _none(job: Job) -> Problem:
    if job.done:
        detail, advice = f"job {job.id} has ended ({job.status})", "its artifacts are there"
    elif job.status is JobStatus.RUNNING:
        detail, advice = f"job {job.id} has no preview yet", _HOW
    else:
        detail, advice = f"job {job.id} does not render yet ({job.status})", _HOW
    return Problem(ProblemType.NOT_FOUND, detail, advice=advice)


class SharedPreviews:
    """Looks for previews for all streams of the process: once a second a job, however many show it."""

    def __init__(self, fleet: AsyncProducer) -> None:
        self._fleet = fleet
        self._looks: dict[JobId, tuple[float, asyncio.Task[PreviewNote | None]]] = {}

    async def newest(self, job_id: JobId) -> PreviewNote | None:
        """Return word of the newest preview of a job; None where there is none, or Redis is away."""
        now = time.monotonic()
        at, look = self._looks.get(job_id, (0.0, None))
        if look is None or now - at >= _EVERY_S:
            recent = {job: seen for job, seen in self._looks.items() if now - seen[0] < _EVERY_S}
            look = asyncio.ensure_future(self._look(job_id))
            self._looks = {**recent, job_id: (now, look)}
        # One stream that ends in the middle takes the answer from no other.
        return await asyncio.shield(look)

    async def _look(self, job_id: JobId) -> PreviewNote | None:
        try:
            return await self._fleet.preview_note(job_id)
        except FleetError:
            return None


async def with_previews(
    feed: EventFeed, after: str | None, job_id: JobId, previews: SharedPreviews
) -> AsyncIterator[bytes]:
    """Yield the frames of a feed, and while its job runs `event: preview` for each new preview, at most once a second.

    These have no id: a client that connects again goes on after the last event of the job.
    """
    frames = feed.frames(after)

    async def take() -> bytes | None:
        return await anext(frames, None)

    shown, due = None, time.monotonic()
    pending = asyncio.ensure_future(take())
    try:
        while True:
            await asyncio.wait({pending}, timeout=max(0.0, due - time.monotonic()))
            if pending.done():
                if (frame := pending.result()) is None:
                    return
                yield frame
                pending = asyncio.ensure_future(take())
            if time.monotonic() >= due:
                due = time.monotonic() + _EVERY_S
                note = await previews.newest(job_id) if job_id in feed.running else None
                if note and note.at != shown:
                    shown = note.at
                    yield _sse_of(note)
    finally:
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
        await frames.aclose()


def _sse_of(note: PreviewNote) -> bytes:
    told = note.model_dump(mode="json", exclude_none=True)
    told["links"] = {"self": f"/v1/jobs/{note.job}/preview"}
    return f"event: preview\ndata: {json.dumps(told)}\n\n".encode()
