"""One reader of the event stream tells every watcher of the process, whatever happens to it."""

from __future__ import annotations

import asyncio
import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from producer.aio import AsyncProducer
from producer.contract.ids import new_batch_id, new_job_id, row_id
from producer.contract.jobs import JobStatus
from producer.events.reader import fanout_of
from producer.events.subscribers import BATCHES, EVERYTHING, NODES
from producer.store import keys, limits
from producer.store.attempts import Hold
from producer.store.calls import listen
from producer.store.node_store import NodeStore
from producer.store.scripts import Scripts
from tests.integration.batch_feeding import GRAPH, feed, seeds
from tests.integration.hand_led import WORKER
from tests.polling import wait_until

PATIENCE = timedelta(seconds=20)
ENTRY = {"n": 9, "type": "phase", "status": "running", "attempt": 1, "node": "gpu-01", "at": 1}


@pytest.fixture
def led(led_alone):
    return led_alone


def succeed(led, job) -> None:
    led.store.commit(Hold(job.id, job.attempt, WORKER), artifacts=[], values={})


def reads(redis) -> int:
    return redis.info("commandstats").get("cmdstat_xread", {"calls": 0})["calls"]


def watches(led, *job_ids) -> bool:
    return all(fanout_of(led.settings).watchers(job_id) for job_id in job_ids)


def test_a_thousand_waits_cost_one_read(led):
    async def story():
        async with AsyncProducer(led.settings) as producer:
            fanout = producer.fanout
            waits = [asyncio.create_task(producer.wait(jobs[i % 4].id)) for i in range(1000)]
            await asyncio.to_thread(
                wait_until,
                lambda: sum(fanout.watchers(job.id) for job in jobs) == 1000,
                description="all wait",
            )
            for job in jobs:
                succeed(led, job)
            return await asyncio.gather(*waits)

    jobs = [led.running() for _ in range(4)]
    before = reads(led.redis)
    ended = asyncio.run(story())
    assert {job.status for job in ended} == {JobStatus.SUCCEEDED}
    assert reads(led.redis) - before < 20


def test_the_reader_comes_with_the_first_watcher_and_goes_with_the_last(led):
    fanout = fanout_of(led.settings)
    with led.fleet.watch(EVERYTHING), led.fleet.watch(EVERYTHING):
        assert fanout.is_reading
    wait_until(lambda: not fanout.is_reading, description="it has ended")


def test_workers_hear_at_once_that_somebody_watches_and_once(led):
    calls = listen(led.redis, timeout=timedelta(seconds=5))
    assert next(calls) is None
    with led.fleet.watch(led.queued().id):
        assert "watched" in (call.what for call in itertools.islice(calls, 10) if call)
    assert 10_000 < led.redis.pttl(keys.WATCHED) <= limits.WATCHED_MS
    assert not Scripts(led.redis).run("watched")  # it is no news


def test_each_watcher_hears_of_what_it_watches_once_and_in_order(led):
    mine, other = led.running(), led.running()
    with led.fleet.watch(mine.id) as of_job, led.fleet.watch(EVERYTHING, mine.id) as of_all:
        succeed(led, other)
        succeed(led, mine)
        [told] = of_job.take(wait=PATIENCE)
        assert (told.event.job, told.event.type) == (mine.id, "succeeded")
        heard = []
        while len(heard) < 2:
            heard += [told.event.job for told in of_all.take(wait=PATIENCE)]
        assert heard == [other.id, mine.id]


def test_who_may_not_wait_gets_what_there_is(led):
    async def story():
        async with AsyncProducer(led.settings) as producer, producer.watch(EVERYTHING) as watch:
            return await watch.take(wait=timedelta(0))

    assert asyncio.run(story()) == []
    with led.fleet.watch(EVERYTHING) as watch:
        assert watch.take(wait=timedelta(0)) == []


def test_one_producer_serves_one_event_loop_after_the_other(led):
    producer = AsyncProducer(led.settings)

    async def waited_for(job):
        waiting = asyncio.create_task(producer.wait(job.id, timeout=PATIENCE))
        await asyncio.to_thread(wait_until, lambda: watches(led, job.id), description="it waits")
        await asyncio.to_thread(succeed, led, job)
        return await waiting

    for _ in range(3):
        assert asyncio.run(waited_for(led.running())).status is JobStatus.SUCCEEDED


def test_one_producer_serves_event_loops_side_by_side(led):
    producer = AsyncProducer(led.settings)
    jobs = [led.running() for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(asyncio.run, producer.wait(job.id, timeout=PATIENCE)) for job in jobs]
        wait_until(lambda: watches(led, *(job.id for job in jobs)), description="both wait")
        for job in jobs:
            succeed(led, job)
        assert [wait.result(20).id for wait in waits] == [job.id for job in jobs]


def test_a_loop_that_was_closed_under_its_watcher_silences_no_other(led):
    producer = AsyncProducer(led.settings)
    loop = asyncio.new_event_loop()

    async def begin():
        await producer.watch(EVERYTHING).__aenter__()

    loop.run_until_complete(begin())
    loop.close()
    job = led.running()
    with led.fleet.watch(job.id) as watch:
        succeed(led, job)
        assert watch.take(wait=PATIENCE)
    succeed(led, late := led.running())
    assert asyncio.run(producer.wait(late.id, timeout=PATIENCE)).done
    wait_until(
        lambda: not fanout_of(led.settings).is_reading,
        description="the closed loop is not kept",
    )


def test_a_batch_is_watched_as_one(led):
    batch = new_batch_id()
    with led.fleet.watch(batch) as watch:
        for fields in ({"job": row_id(batch, 7)}, {"job": new_job_id(), "batch": batch}):
            led.redis.xadd(keys.EVENTS, {**ENTRY, **fields})
        heard = []
        while len(heard) < 2:
            heard += watch.take(wait=PATIENCE)
    assert [told.batch for told in heard] == [batch, batch]


def taken(watch, count) -> list:
    heard = []
    while len(heard) < count:
        heard += watch.take(wait=PATIENCE)
    return heard


def test_batches_and_nodes_are_watched_beside_jobs_in_the_order_of_the_stream(led):
    nodes = NodeStore(led.redis, lease=timedelta(seconds=15))
    batch = led.fleet.submit_many(GRAPH, seeds(1))
    topics = (f"batch:{batch.id}", NODES, EVERYTHING)
    with led.fleet.watch_fleet(*topics) as watch, led.fleet.watch(batch.id, EVERYTHING) as of_jobs:
        nodes.register("gpu-01", worker=WORKER, fields={"pool": "p", "state": "ready", "url": "u"})
        feed(led.fleet)
        led.fleet.cancel(row_id(batch.id, 1))
        nodes.say("gpu-01", state="suspect")
        heard = taken(watch, 5)
        assert [told.event.type for told in taken(of_jobs, 2)] == ["submitted", "cancelled"]
    assert [told.event.type for told in heard] == [
        *("state", "submitted", "finished", "cancelled", "state")
    ]
    ids = [told.event.id for told in heard]
    assert ids == sorted(ids)
    assert b'"kind":"node"' in heard[0].sse
    assert b'"state":"suspect"' in heard[-1].sse


def test_an_event_loop_watches_batches_as_threads_do(led):
    async def story():
        async with AsyncProducer(led.settings) as fleet, fleet.watch_fleet(BATCHES) as watch:
            await fleet.submit_many(GRAPH, seeds(1))
            [sealed] = await watch.take()
            [told] = [
                event
                for event in await fleet.fleet_events(after="0-0")
                if event.id == sealed.event.id
            ]
            return sealed.event == told

    assert asyncio.run(story())
