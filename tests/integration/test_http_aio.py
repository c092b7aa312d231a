"""The client of the HTTP API for asyncio: as the one for threads, and a thousand watchers cost no thread each."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from producer.contract.errors import JobNotFound, JobNotSucceeded, WaitTimeout
from producer.contract.ids import new_job_id
from producer.events.notices import LAGGED
from producer.events.subscribers import BATCHES
from producer.http_aio import AsyncHttpProducer
from tests.integration.api_server import GRAPH

SOON = timedelta(seconds=20)
#: More than the threads that asyncio calls in.
MANY = 100


def over_http(api, use, **scopes):
    """Run a coroutine with a client."""
    key = api(**scopes)

    async def run():
        async with AsyncHttpProducer(key.url, key.key) as fleet:
            return await use(fleet)

    return asyncio.run(run())


def test_calls_are_those_of_the_library(api, led):
    async def use(fleet):
        job = await fleet.submit(GRAPH, params={"3.color": 7}, metadata={"order": "7"})
        assert await fleet.get(job.id) == led.fleet.get(job.id)
        assert (await fleet.jobs("status:queued", limit=1)).jobs == [job]
        assert await fleet.move_job(job.id, tier="idle") == 1
        assert await fleet.owner("shop") == led.fleet.owner("shop")
        batch = await fleet.submit_many(GRAPH, [{"3.color": n} for n in range(3)], name="night")
        assert await fleet.find_batch("night") == batch.id
        assert [row async for row, _ in fleet.batch_jobs(batch.id)] == [1, 2, 3]
        lines = [line["row"] async for line in fleet.batch_results(batch.id)]
        assert lines == [1, 2, 3]
        with pytest.raises(WaitTimeout):
            await fleet.wait_batch(batch.id, timeout=timedelta(0))
        await fleet.cancel_batch(batch.id)
        assert (await fleet.wait_batch(batch.id, timeout=SOON)).counts.cancelled == 3
        await fleet.webhooks.create("orders", "https://example.com/hook")
        assert [hook.name for hook in await fleet.webhooks.list()] == ["orders"]
        with pytest.raises(JobNotFound):
            await fleet.get(new_job_id())
        await fleet.cancel(job.id)
        with pytest.raises(JobNotSucceeded):
            await fleet.wait(job.id, timeout=SOON)

    over_http(api, use)


def test_many_streams_share_one_connection_and_take_no_threads(api, led):
    begun, all_have = [], asyncio.Event()

    async def follow(fleet, job):
        told = []
        async for event in fleet.stream(job.id, timeout=SOON):
            told.append(event)
            begun.append(event)
            if len(begun) == MANY:
                all_have.set()
        return told

    async def use(fleet):
        job = await fleet.submit(GRAPH)
        others = [await fleet.submit(GRAPH) for _ in range(2)]
        streams = [asyncio.ensure_future(follow(fleet, job)) for _ in range(MANY)]
        await asyncio.wait_for(all_have.wait(), SOON.total_seconds())
        readers = [thread for thread in threading.enumerate() if thread.name == "events"]
        # A call needs a thread; none is held by who only waits.
        assert (await asyncio.wait_for(fleet.get(others[0].id), 5)).id == others[0].id
        led.cancelled(led.fleet.get(job.id))
        told = await asyncio.gather(*streams)
        return len(readers), told

    readers, told = over_http(api, use)
    assert readers == 1
    assert len(told) == MANY
    for events in told:
        assert (events[0].type, events[-1].status) == ("snapshot", "cancelled")


def test_a_stream_goes_on_after_an_event_without_a_gap(api, led):
    async def use(fleet):
        job = await fleet.submit(GRAPH)
        [first] = [event async for event in fleet.stream(job.id, timeout=timedelta(0))]
        led.cancelled(led.fleet.get(job.id))
        ended = [event async for event in fleet.stream(job.id, after=first.id, timeout=SOON)]
        running = led.running(led.fleet.get((await fleet.submit(GRAPH)).id))
        then = led.redis.xrevrange("comfyfleet:events", count=1)[0][0]
        stream = fleet.stream(running.id, after=first.id, timeout=SOON)
        told = [await anext(stream) for _ in range(3)]
        await stream.aclose()
        return ended, told, then

    ended, told, then = over_http(api, use)
    assert [event.status for event in ended] == ["cancelled"]
    assert [event.type for event in told] == ["snapshot", "submitted", "claimed"]
    assert told[-1].id == then


def test_batches_are_watched_from_a_loop(api):
    async def use(fleet):
        made = []
        async with fleet.watch_fleet(BATCHES) as watch, asyncio.timeout(SOON.total_seconds()):
            told = [LAGGED]
            while (
                told[-1] is LAGGED
            ):  # that the last test's Redis was emptied: no more is told of what came before
                made.append((await fleet.submit_many(GRAPH, [{"3.color": 1}])).id)
                told += await watch.take()
        return made, told[-1].event.batch

    made, told = over_http(api, use)
    assert told in made


def test_one_client_serves_one_loop_after_another(api):
    key = api()
    fleet = AsyncHttpProducer(key.url, key.key)

    async def use():
        job = await fleet.submit(GRAPH)
        told = []
        async with fleet.watch(job.id) as watch:
            await fleet.cancel(job.id)
            async with asyncio.timeout(SOON.total_seconds()):
                while "cancelled" not in told:  # that it was handed in may be heard late
                    for item in await watch.take():
                        heard = await fleet.get(job.id) if item is LAGGED else item.event
                        told.append(heard.status)
        return told[-1]

    assert [asyncio.run(use()) for _ in range(2)] == ["cancelled"] * 2
    asyncio.run(fleet.close())
