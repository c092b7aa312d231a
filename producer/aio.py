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
from typing import Any, Self

from producer.access_keys import AsyncAccessKeys
from producer.batch.async_methods import AsyncBatchMethods
from producer.bulk_methods import AsyncBulkMethods
from producer.client import Producer
from producer.contract.config.settings import Settings
from producer.dead_letters import AsyncDeadLetters
from producer.events.following import AsyncFollowing
from producer.events.loop_fanout import LoopFanout
from producer.events.methods import loop_fanouts
from producer.intake.input_policy import InputPolicy
from producer.listing.async_methods import AsyncListMethods
from producer.long_waits import AsyncLongWaits
from producer.nodes.async_methods import AsyncNodeMethods
from producer.submit_methods import AsyncSubmitMethods
from producer.template_methods import AsyncTemplates
from producer.threaded_calls import in_thread, listed_in_thread
from producer.webhooks.methods import AsyncWebhooks


class AsyncProducer(
    AsyncSubmitMethods,
    AsyncFollowing,
    AsyncBatchMethods,
    AsyncListMethods,
    AsyncBulkMethods,
    AsyncNodeMethods,
    AsyncLongWaits,
):
    """The client of one fleet for asyncio, for all event loops of a process.

    Arguments, results and errors are those of `Producer`; its methods here are coroutines. Loops may run one after
    another, too (`asyncio.run`, Django's `async_to_sync`).
    """

    _sync: Producer

    def __init__(self, settings: Settings, *, input_policy: InputPolicy | None = None) -> None:
        self._sync = Producer(settings, input_policy=input_policy)
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

    upload = in_thread(Producer.upload)
    get = in_thread(Producer.get)
    get_many = in_thread(Producer.get_many)
    cancel = in_thread(Producer.cancel)
    hold = in_thread(Producer.hold)
    release = in_thread(Producer.release)
    retry = in_thread(Producer.retry)
    retry_once = in_thread(Producer.retry_once)
    url = in_thread(Producer.url)
    fetch = in_thread(Producer.fetch)
    preview = in_thread(Producer.preview)
    preview_note = in_thread(Producer.preview_note)
    events = listed_in_thread(Producer.events)
    fleet_events = listed_in_thread(Producer.fleet_events)
    missed = in_thread(Producer.missed)
    position = in_thread(Producer.position)

    @property
    def fanout(self) -> LoopFanout:
        """The fan-out of events to watchers on the running event loop, as `Pipe` needs it."""
        return self._fanouts.of_running_loop()

    async def close(self) -> None:
        """Close all connections; they are opened again at the next use."""
        await asyncio.to_thread(self._sync.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
