"""Async client library over the HTTP API, for FastAPI, aiohttp and other code on asyncio that holds an access key.

    from producer.http_aio import AsyncHttpProducer

    fleet = AsyncHttpProducer("https://fleet.example", key="cfk_...")
    job = await fleet.submit(graph, params={"6.text": "a red fox"})
    async for event in fleet.stream(job.id): ...

It is to `producer.http_client` what `producer.aio` is to `producer.client`: calls that take milliseconds run in a
thread, long waits are on the event loop, and all watchers of a process share one connection.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Self

import requests

from producer.events.following import AsyncFollowing
from producer.events.loop_fanout import LoopFanout, LoopFanouts
from producer.http_client import HttpProducer
from producer.over_http.action_methods import AsyncHttpActionMethods
from producer.over_http.batch_methods import READ_EVERY
from producer.over_http.dead_letters import HttpDeadLetters
from producer.over_http.templates import HttpTemplates
from producer.over_http.webhooks import HttpWebhooks
from producer.threaded_calls import (
    OwnThreads,
    ThreadedTwin,
    in_thread,
    iterated_in_thread,
    listed_in_thread,
)

#: Calls at once of one client.
_CALLS: Final = 32


class AsyncHttpWebhooks(ThreadedTwin):
    """The same as `HttpProducer.webhooks`, for asyncio."""

    create = in_thread(HttpWebhooks.create)
    list = in_thread(HttpWebhooks.list)
    get = in_thread(HttpWebhooks.get)
    delete = in_thread(HttpWebhooks.delete)
    enable = in_thread(HttpWebhooks.enable)
    rotate = in_thread(HttpWebhooks.rotate)
    test = in_thread(HttpWebhooks.test)
    deliveries = in_thread(HttpWebhooks.deliveries)
    delivery = in_thread(HttpWebhooks.delivery)
    redeliver = in_thread(HttpWebhooks.redeliver)


class AsyncHttpDeadLetters(ThreadedTwin):
    """The same as `HttpProducer.dead_letters`, for asyncio."""

    list = in_thread(HttpDeadLetters.list)
    show = in_thread(HttpDeadLetters.show)
    redrive = in_thread(HttpDeadLetters.redrive)
    redrive_once = in_thread(HttpDeadLetters.redrive_once)
    drop = in_thread(HttpDeadLetters.drop)
    causes = in_thread(HttpDeadLetters.causes)


class AsyncHttpTemplates(ThreadedTwin):
    """The same as `HttpProducer.templates`, for asyncio."""

    put = in_thread(HttpTemplates.put)
    put_once = in_thread(HttpTemplates.put_once)
    list = in_thread(HttpTemplates.list)
    get = in_thread(HttpTemplates.get)
    delete = in_thread(HttpTemplates.delete)
    check = in_thread(HttpTemplates.check)


class AsyncHttpProducer(AsyncFollowing, AsyncHttpActionMethods):
    """The client of one fleet over its HTTP API for asyncio, for all event loops of a process.

    Arguments, results and errors are those of `HttpProducer`; its methods here are coroutines. They run in 32 threads
    of its own, so that an API that does not answer leaves the event loop's threads to the others.
    """

    _sync: HttpProducer
    _read_batch_every = READ_EVERY

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: timedelta = timedelta(seconds=10),
        session: requests.Session | None = None,
    ) -> None:
        self._sync = HttpProducer(url, key, timeout=timeout, session=session)
        self._threads = OwnThreads(_CALLS, "fleet-http")
        self._fanouts = LoopFanouts(lambda: self._sync.reader, self._threads.run)
        self.webhooks = AsyncHttpWebhooks(self._sync.webhooks, self._threads)
        self.dead_letters = AsyncHttpDeadLetters(self._sync.dead_letters, self._threads)
        self.templates = AsyncHttpTemplates(self._sync.templates, self._threads)

    submit = in_thread(HttpProducer.submit)
    submit_once = in_thread(HttpProducer.submit_once)
    upload = in_thread(HttpProducer.upload)
    get = in_thread(HttpProducer.get)
    get_many = in_thread(HttpProducer.get_many)
    jobs = in_thread(HttpProducer.jobs)
    cancel = in_thread(HttpProducer.cancel)
    hold = in_thread(HttpProducer.hold)
    release = in_thread(HttpProducer.release)
    retry = in_thread(HttpProducer.retry)
    retry_once = in_thread(HttpProducer.retry_once)
    move = in_thread(HttpProducer.move)
    move_job = in_thread(HttpProducer.move_job)
    preview = in_thread(HttpProducer.preview)
    preview_note = in_thread(HttpProducer.preview_note)
    url = in_thread(HttpProducer.url)
    fetch = in_thread(HttpProducer.fetch)
    events = listed_in_thread(HttpProducer.events)
    fleet_events = listed_in_thread(HttpProducer.fleet_events)

    submit_many = in_thread(HttpProducer.submit_many)
    begin_batch = in_thread(HttpProducer.begin_batch)
    add_rows = in_thread(HttpProducer.add_rows)
    seal_batch = in_thread(HttpProducer.seal_batch)
    batch = in_thread(HttpProducer.batch)
    batches = in_thread(HttpProducer.batches)
    find_batch = in_thread(HttpProducer.find_batch)
    cancel_batch = in_thread(HttpProducer.cancel_batch)
    hold_batch = in_thread(HttpProducer.hold_batch)
    release_batch = in_thread(HttpProducer.release_batch)
    move_batch = in_thread(HttpProducer.move_batch)
    batch_jobs = iterated_in_thread(HttpProducer.batch_jobs)
    batch_results = iterated_in_thread(HttpProducer.batch_results)
    batch_result_lines = iterated_in_thread(HttpProducer.batch_result_lines)

    queue = in_thread(HttpProducer.queue)
    totals = in_thread(HttpProducer.totals)
    owner = in_thread(HttpProducer.owner)
    owners = in_thread(HttpProducer.owners)
    limit_owner = in_thread(HttpProducer.limit_owner)
    nodes = in_thread(HttpProducer.nodes)
    node_times = in_thread(HttpProducer.node_times)
    rescan = in_thread(HttpProducer.rescan)
    drain_nodes = in_thread(HttpProducer.drain_nodes)
    pause_nodes = in_thread(HttpProducer.pause_nodes)
    resume_nodes = in_thread(HttpProducer.resume_nodes)
    quarantine_nodes = in_thread(HttpProducer.quarantine_nodes)
    clear_nodes = in_thread(HttpProducer.clear_nodes)
    probe_nodes = in_thread(HttpProducer.probe_nodes)
    restart_nodes = in_thread(HttpProducer.restart_nodes)
    pools = in_thread(HttpProducer.pools)
    drain_pools = in_thread(HttpProducer.drain_pools)
    pause_pools = in_thread(HttpProducer.pause_pools)
    resume_pools = in_thread(HttpProducer.resume_pools)

    @property
    def fanout(self) -> LoopFanout:
        """The fan-out of events to watchers on the running event loop."""
        return self._fanouts.of_running_loop()

    async def close(self) -> None:
        """Close all connections; they are opened again at the next use. Watches hear nothing more."""
        await self._threads.run(self._sync.close)
        self._threads.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
