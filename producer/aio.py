"""The same library for asyncio: FastAPI, aiohttp and their kind.

    from producer.aio import AsyncProducer

    fleet = AsyncProducer.from_env()
    job = await fleet.submit(graph, params={"6.text": "a red fox"})
    async for event in fleet.stream(job.id): ...

Calls that take milliseconds run in a thread. What waits for long, waits on the event loop, so
that a thousand watchers need no thousand threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from producer.client import LOOK_EVERY, Deadline, Producer, snapshot, succeeded
from producer.contract.errors import WaitTimeout
from producer.contract.jobs import Artifact, Job, JobEvent
from producer.contract.nodes import Node
from producer.contract.settings import Settings
from producer.intake import GraphLike
from producer.store.connection import connect_async
from producer.store.events import AsyncEventStream
from producer.store.job_store import Cancelled


class AsyncProducer:
    """A fleet, as those see it who hand in jobs; to be used from one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._sync = Producer(settings)
        self._redis = connect_async(settings)
        self._events = AsyncEventStream(self._redis)

    @classmethod
    def from_env(cls, **overrides: Any) -> Self:
        """Return a producer with the settings of the environment or the settings file."""
        return cls(Producer.from_env(**overrides).settings)

    async def submit(self, graph: GraphLike, **options: Any) -> Job:
        """Hand in one job; options and errors as of `Producer.submit`."""
        return await asyncio.to_thread(self._sync.submit, graph, **options)

    async def get(self, job_id: str) -> Job:
        """Read one job; raise JobNotFound when there is none."""
        return await asyncio.to_thread(self._sync.get, job_id)

    async def wait(self, job_id: str, *, timeout: timedelta | None = None) -> Job:  # noqa: ASYNC109 - as the sync one
        """Return the job once it has succeeded; errors as of `Producer.wait`."""
        async for _ in self.stream(job_id, timeout=timeout):
            pass
        job = await self.get(job_id)
        if not job.done and timeout is not None:
            raise WaitTimeout(job.id, timeout.total_seconds(), job.status)
        return succeeded(job)

    async def stream(
        self,
        job_id: str,
        *,
        timeout: timedelta | None = None,  # noqa: ASYNC109
        after: str | None = None,
    ) -> AsyncIterator[JobEvent]:
        """Give the job's events as they happen, the present state first; end with the job."""
        deadline = Deadline(timeout)
        position = after or await self._events.end()
        job = await self.get(job_id)
        yield snapshot(job, position)
        look = Deadline(LOOK_EVERY)
        while not (job.done or deadline.is_over):
            for event in await self._events.read(position, wait=min(deadline.left, LOOK_EVERY)):
                position = event.id
                if event.job == job.id:
                    yield event
                    if event.status.is_terminal:
                        return
            if look.is_over:
                look = Deadline(LOOK_EVERY)
                job = await self.get(job_id)
                if job.done:
                    yield snapshot(job, position)

    async def cancel(self, job_id: str) -> Cancelled:
        """Ask for the job's end and return what the request met."""
        return await asyncio.to_thread(self._sync.cancel, job_id)

    async def nodes(self) -> list[Node]:
        """Return every node the fleet has heard of in the last week."""
        return await asyncio.to_thread(self._sync.nodes)

    async def url(self, artifact: Artifact, *, expires: timedelta = timedelta(hours=1)) -> str:
        """Return a presigned URL for the artifact."""
        return await asyncio.to_thread(self._sync.url, artifact, expires=expires)

    async def fetch(self, artifact: Artifact, path: Path) -> None:
        """Copy an artifact into a file, checked; errors as of `Producer.fetch`."""
        await asyncio.to_thread(self._sync.fetch, artifact, path)

    async def close(self) -> None:
        """Close what is open."""
        await self._redis.aclose()
        await asyncio.to_thread(self._sync.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
