"""Routes of live status: the events of one job, of one batch, and of all that a key sees."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from producer.access_keys import allowing
from producer.aio import AsyncProducer
from producer.contract.access import AccessKey, Scope
from producer.contract.batches import Batch, BatchState
from producer.contract.errors import InvalidQuery
from producer.contract.fleet_events import BatchEvent
from producer.contract.graph.json_values import printable
from producer.contract.ids import JobId
from producer.contract.jobs import Job
from producer.events.job_stream import snapshot_of
from producer.events.subscribers import BATCHES, EVERYTHING, NODES
from producer.http.access import Fleet, Reader, batch_of, fleet_of, job_of, seen
from producer.http.event_feed import EventFeed, Present
from producer.http.gate import secret_of
from producer.http.previews import with_previews
from producer.http.responses import answers
from producer.http.streams import EventStreamResponse
from producer.http.strict_json import StrictRoute

router = APIRouter(tags=["events"], route_class=StrictRoute)

_MOST_TOPICS: Final = 100
#: Jobs that run or wait of which a feed of everything shows the state at first: the newest.
_SHOWN: Final = 100
_LIVE: Final = "status:held,queued,running"

_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Server-sent events", "content": {"text/event-stream": {}}},
    204: {"description": "It is over, and all was told: do not connect again"},
}
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=50, description="Go on after this event."),
]
Id = Annotated[str, Path(max_length=100)]


@router.get(
    "/v1/jobs/{job_id}/events", response_class=Response, responses=_STREAM | answers(403, 404, 503)
)
async def of_job(
    request: Request,
    job_id: Id,
    fleet: Fleet,
    key: Reader,
    *,
    previews: Annotated[
        bool, Query(description="Tell of previews, too: `event: preview`, at most once a second.")
    ] = False,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow one job until it has ended."""
    job = await job_of(fleet, key, job_id)
    about = _About(fleet, key, jobs=[job.id])
    feed = EventFeed(fleet, [job.id], about.present)
    return await _answer(request, feed, last_event_id, preview_of=job.id if previews else None)


@router.get(
    "/v1/batches/{batch_id}/events",
    response_class=Response,
    responses=_STREAM | answers(403, 404, 503),
)
async def of_batch(
    request: Request,
    batch_id: Id,
    key: Reader,
    jobs: Annotated[bool, Query(description="Tell of each of its jobs, too.")] = True,  # noqa: FBT002
    last_event_id: LastEventId = None,
) -> Response:
    """Follow one batch until it has finished; with its jobs, unless `jobs=false`."""
    fleet = fleet_of(request)
    batch = await batch_of(fleet, key, batch_id)
    about = _About(fleet, key, batches=[batch.id])
    topics = [f"batch:{batch.id}", *([str(batch.id)] if jobs else [])]
    return await _answer(request, EventFeed(fleet, topics, about.present), last_event_id)


@router.get("/v1/events", response_class=Response, responses=_STREAM | answers(403, 404, 503))
async def of_fleet(
    request: Request,
    fleet: Fleet,
    key: Reader,
    topics: Annotated[
        str,
        Query(
            max_length=10_000,
            description="Some of `job:ID`, `batch:ID`, `node:NAME`, `nodes`, with commas.",
        ),
    ] = "",
    last_event_id: LastEventId = None,
) -> Response:
    """Follow some jobs and batches, or without `topics` all that the key sees; it never ends by itself."""
    about = _About(fleet, key)
    wanted = [word for word in (part.strip() for part in topics.split(",")) if word]
    if len(wanted) > _MOST_TOPICS:
        raise InvalidQuery(
            f"topics are {len(wanted)}; expected at most {_MOST_TOPICS}", field="topics"
        )
    found = [topic for word in wanted for topic in await about.add(word)] or about.everything()
    return await _answer(
        request, EventFeed(fleet, found, about.present, is_endless=True), last_event_id
    )


async def _answer(
    request: Request, feed: EventFeed, after: str | None, *, preview_of: JobId | None = None
) -> Response:
    streams, owner = request.app.state.streams, request.state.key.owner
    streams.check_room(owner)
    if after and await feed.is_over(after):
        return Response(status_code=204)
    fleet: AsyncProducer = request.app.state.fleet
    secret = secret_of(request.headers)
    frames: AsyncIterator[bytes] = feed.frames(after)
    if preview_of:
        frames = with_previews(feed, after, preview_of, request.app.state.previews)
    return EventStreamResponse(feed, frames, streams, owner, lambda: fleet.keys.look(secret))


class _OwnerSnapshot(BaseModel):
    """What an owner has, as the first event of a feed of all that is its own."""

    id: str
    kind: Literal["owner"] = "owner"
    type: Literal["snapshot"] = "snapshot"
    owner: str
    waiting: int
    running: int


class _About:
    """What a feed is about, and its present state."""

    def __init__(
        self,
        fleet: AsyncProducer,
        key: AccessKey,
        *,
        jobs: Sequence[str] = (),
        batches: Sequence[str] = (),
    ) -> None:
        self._fleet = fleet
        self._key = key
        self._jobs = list(jobs)
        self._batches = list(batches)
        self._is_all = False

    async def add(self, word: str) -> list[str]:
        """Take one topic as a request names it, and return the library's.

        Raises:
            InvalidQuery: it is of no known form.
            JobNotFound, BatchNotFound: the key sees no such job or batch.
            ScopeMissing: it is of nodes, and the key may not see them.
        """
        kind, _, name = word.partition(":")
        if kind == "job" and name:
            self._jobs.append((await job_of(self._fleet, self._key, name)).id)
            return [self._jobs[-1]]
        if kind == "batch" and name:
            self._batches.append((await batch_of(self._fleet, self._key, name)).id)
            return [f"batch:{self._batches[-1]}", self._batches[-1]]
        if word == NODES or (kind == "node" and name):
            allowing(self._key, Scope.OPERATE)
            return [word]
        raise InvalidQuery(
            f"topic {printable(word)} is none; expected job:ID, batch:ID, node:NAME or nodes",
            field="topics",
        )

    def everything(self) -> list[str]:
        """Return the topics of all that the key sees."""
        self._is_all = True
        nodes = [NODES] if self._key.allows(Scope.OPERATE) else []
        if self._key.sees_all:
            return [EVERYTHING, BATCHES, *nodes]
        return [f"owner:{self._key.owner}", *nodes]

    async def present(self, position: str) -> Present:
        """Return the present state; its snapshots carry the stream's position."""
        jobs = await self._fleet.get_many(self._jobs) if self._jobs else []
        batches = [await self._fleet.batch(batch) for batch in self._batches]
        events: list[Any] = [_batch_snapshot(batch, position) for batch in batches]
        if self._is_all:
            usage = await self._fleet.owner(self._key.owner)
            events.append(
                _OwnerSnapshot(
                    id=position, owner=usage.owner, waiting=usage.waiting, running=usage.running
                )
            )
            page = await self._fleet.jobs(seen(self._key, _LIVE), None, _SHOWN)
            jobs = [*jobs, *reversed(page.jobs)]
        events += [snapshot_of(job, position) for job in jobs]
        return Present(
            events,
            open=frozenset(
                [job.id for job in jobs if not job.done]
                + [batch.id for batch in batches if batch.state is not BatchState.FINISHED]
            ),
            unfed=frozenset(job.id for job in jobs if _is_unfed(job)),
        )


def _is_unfed(job: Job) -> bool:
    return not job.done and job.queued_at is None


def _batch_snapshot(batch: Batch, position: str) -> BatchEvent:
    return BatchEvent(
        id=position,
        type="snapshot",
        batch=batch.id,
        n=0,
        name=batch.name,
        owner=batch.owner,
        rows=batch.rows,
        counts=batch.counts,
        at=batch.ended_at or batch.sealed_at or batch.created_at,
    )
