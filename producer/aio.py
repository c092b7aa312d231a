"""Async client library (aio), for FastAPI, aiohttp and other code on asyncio; see `producer.client`.

    from producer.aio import AsyncProducer

    fleet = AsyncProducer.from_env()
    job = await fleet.submit(graph, params={"6.text": "a red fox"})
    async for event in fleet.stream(job.id): ...

Calls that take milliseconds run in a thread. Long waits are on the event loop, so that a thousand
watchers need no threads of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from producer.access_keys import AsyncAccessKeys
from producer.batch.async_methods import AsyncBatchMethods
from producer.bulk_methods import AsyncBulkMethods
from producer.client import Producer
from producer.contract.cancel_outcomes import Cancelled
from producer.contract.config.settings import Settings
from producer.contract.filters.query import Filter
from producer.contract.fleet_events import FleetEvent
from producer.contract.job_pages import JobPage
from producer.contract.jobs import Artifact, Job, JobEvent
from producer.contract.previews import Preview, PreviewNote
from producer.contract.queues import Tier
from producer.contract.uploads import Upload
from producer.dead_letters import AsyncDeadLetters
from producer.events.async_event_watch import LoopFanout
from producer.events.following import AsyncFollowing
from producer.events.methods import loop_fanouts
from producer.events.missed import Missed
from producer.intake.input_policy import InputPolicy
from producer.listing.async_methods import AsyncListMethods
from producer.long_waits import AsyncLongWaits
from producer.pool_methods import AsyncPoolMethods
from producer.submit_methods import AsyncSubmitMethods
from producer.template_methods import AsyncTemplates
from producer.webhooks.methods import AsyncWebhooks


class AsyncProducer(
    AsyncSubmitMethods,
    AsyncFollowing,
    AsyncBatchMethods,
    AsyncListMethods,
    AsyncBulkMethods,
    AsyncPoolMethods,
    AsyncLongWaits,
):
    """The client of one fleet for asyncio, for all event loops of a process.

    They may run one after another, too (`asyncio.run`, Django's `async_to_sync`).
    """

    _sync: Producer

    def __init__(self, settings: Settings, *, input_policy: InputPolicy | None = None) -> None:
        self._sync = Producer(settings, input_policy=input_policy)
        self._calls = self._sync
        self._set_up(self._sync)
        self._fanouts = loop_fanouts(settings)
        self.keys = AsyncAccessKeys(self._sync.keys)
        self.dead_letters = AsyncDeadLetters(self._sync.dead_letters)
        self.webhooks = AsyncWebhooks(self._sync.webhooks)
        #: Graphs by name.
        self.templates = AsyncTemplates(self._sync.templates)

    @classmethod
    def from_env(cls, *, input_policy: InputPolicy | None = None, **overrides: Any) -> Self:
        """Return a producer with the settings of the environment or file; see `Producer.from_env`."""
        return cls(Producer.from_env(**overrides).settings, input_policy=input_policy)

    async def upload(self, content: Path | bytes, *, owner: str = "", name: str = "") -> Upload:
        """Store a file for jobs of an owner; all as of `Producer.upload`."""
        return await asyncio.to_thread(self._sync.upload, content, owner=owner, name=name)

    async def get(self, job_id: str) -> Job:
        """Return one job; raises JobNotFound."""
        return await asyncio.to_thread(self._sync.get, job_id)

    async def get_many(self, job_ids: Iterable[str]) -> list[Job]:
        """Return some jobs, read in one round trip; errors as of `get`."""
        return await asyncio.to_thread(self._sync.get_many, list(job_ids))

    async def jobs(
        self,
        filter: str | Filter = "",  # noqa: A002 - as it is called everywhere
        cursor: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """Return a page of the jobs that answer a filter; all as of `Producer.jobs`."""
        return await asyncio.to_thread(self._sync.jobs, filter, cursor, limit)

    @property
    def fanout(self) -> LoopFanout:
        """The fan-out of events to watchers on the running event loop, as `Pipe` needs it."""
        return self._fanouts.of_running_loop()

    async def preview(self, job_id: str) -> Preview | None:
        """Return the newest preview of a job that renders; all as of `Producer.preview`."""
        return await asyncio.to_thread(self._sync.preview, job_id)

    async def preview_note(self, job_id: str) -> PreviewNote | None:
        """Return the same without the picture; all as of `Producer.preview_note`."""
        return await asyncio.to_thread(self._sync.preview_note, job_id)

    async def events(self, *, after: str, until: str = "+") -> list[JobEvent]:
        """Return what the stream still holds of all events of jobs after one id, up to another."""
        return await asyncio.to_thread(lambda: list(self._sync.events(after=after, until=until)))

    async def missed(self, *topics: str, after: str) -> Missed | None:
        """Return a part of what came of some topics after an event's id; all as of `Producer.missed`."""
        return await asyncio.to_thread(lambda: self._sync.missed(*topics, after=after))

    async def position(self) -> str:
        """Return the id after which `missed` gives what happens from now on."""
        return await asyncio.to_thread(self._sync.position)

    async def fleet_events(self, *, after: str, until: str = "+") -> list[JobEvent | FleetEvent]:
        """Return the same with those of batches and nodes."""
        return await asyncio.to_thread(
            lambda: list(self._sync.fleet_events(after=after, until=until))
        )

    async def cancel(self, job_id: str) -> Cancelled:
        """Request that the job be cancelled; see `Producer.cancel`."""
        return await asyncio.to_thread(self._sync.cancel, job_id)

    async def hold(self, job_id: str) -> Job:
        """Hold a job that waits for a node; errors as of `Producer.hold`."""
        return await asyncio.to_thread(self._sync.hold, job_id)

    async def release(self, job_id: str) -> Job:
        """Release a held job; errors as of `Producer.release`."""
        return await asyncio.to_thread(self._sync.release, job_id)

    async def retry(
        self,
        job_id: str,
        *,
        tier: Tier | str | None = None,
        pin: str | None = None,
        secrets: Mapping[str, Any] | None = None,
    ) -> Job:
        """Submit an ended job again as a new job; see `Producer.retry`."""
        return await asyncio.to_thread(
            self._sync.retry, job_id, tier=tier, pin=pin, secrets=secrets
        )

    async def url(self, artifact: Artifact, *, expires: timedelta = timedelta(hours=1)) -> str:
        """Return a presigned URL for the artifact."""
        return await asyncio.to_thread(self._sync.url, artifact, expires=expires)

    async def fetch(self, artifact: Artifact, path: Path) -> None:
        """Copy an artifact into a file, checked; errors as of `Producer.fetch`."""
        await asyncio.to_thread(self._sync.fetch, artifact, path)

    async def close(self) -> None:
        """Close all connections; they are opened again at the next use."""
        await asyncio.to_thread(self._sync.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
