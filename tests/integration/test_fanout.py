"""One reader of the event stream tells every watcher of the process, whatever happens to it."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from datetime import timedelta

import pytest
from redis import Redis
from redis.exceptions import RedisError

from infra.local.background import BackgroundSupervisor
from infra.local.supervisor import Supervisor
from producer.aio import AsyncProducer
from producer.contract.config.settings import Settings
from producer.contract.errors import FleetUnreachable, JobNotFound, JobNotSucceeded
from producer.contract.ids import new_batch_id, new_job_id, row_id
from producer.contract.jobs import JobStatus
from producer.events import methods
from producer.events.async_event_watch import Pipe
from producer.events.notices import LAGGED, LAGGED_SSE
from producer.events.reader import fanout_of
from producer.events.subscribers import BATCHES, EVERYTHING, NODES
from producer.store import keys
from producer.store.attempts import Hold
from producer.store.calls import listen
from producer.store.node_store import NodeStore
from producer.store.scripts import Scripts
from tests import key_lives, servers
from tests.bench.seeding import seed_rows
from tests.integration.batch_feeding import GRAPH, feed, seeds
from tests.integration.hand_led import WORKER, HandLed
from tests.polling import wait_until

PATIENCE = timedelta(seconds=20)
_databases = itertools.cycle(range(1, 16))
ENTRY = {"n": 9, "type": "phase", "status": "running", "attempt": 1, "node": "gpu-01", "at": 1}


@pytest.fixture
def led(redis_server) -> Iterator[HandLed]:
    """Jobs in an empty database of their own: a process has one reader for each.

    The last test's may not have ended yet, and would hear that its Redis was emptied.
    """
    url = f"{redis_server.url.rpartition('/')[0]}/{next(_databases)}"
    with Redis.from_url(url, decode_responses=True) as redis:
        redis.flushall()
        led = HandLed(Settings(redis_url=url), redis)
        with led.fleet:
            yield led
        assert key_lives.without_life(redis) == [], "keys that would stay for ever"


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
    assert 10_000 < led.redis.pttl(keys.WATCHED) <= keys.WATCHED_MS
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


def test_a_stream_resumes_after_the_event_that_was_seen_last(led):
    job = led.queued()
    [seen, *_] = led.fleet.events(after="0-0")
    job = led.running(job)
    events = led.fleet.stream(job.id, after=seen.id, timeout=PATIENCE)
    assert [next(events).type, next(events).type] == ["snapshot", "claimed"]
    succeed(led, job)
    assert [event.type for event in events] == ["succeeded"]


def test_events_that_were_lost_are_made_up_by_the_records(led):
    job = led.running()
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(led.fleet.wait, job.id, timeout=PATIENCE)
        wait_until(lambda: watches(led, job.id), description="it waits")
        with led.redis.pipeline(transaction=True) as pipe:  # as if the stream had been trimmed
            pipe.hset(keys.job(job.id), "status", JobStatus.SUCCEEDED)
            pipe.delete(keys.EVENTS)
            pipe.execute()
        assert ended.result(10).done


def test_a_row_that_ends_with_its_batch_ends_its_wait_without_an_event(led, monkeypatch):
    monkeypatch.setattr(methods, "RECHECK_EVERY", timedelta(seconds=0.1))
    seed_rows(led.settings, 200)
    [batch] = led.fleet.batches()
    with ThreadPoolExecutor(1) as pool:
        row = row_id(batch.id, 7)
        ended = pool.submit(led.fleet.wait, row, timeout=PATIENCE)
        wait_until(lambda: watches(led, row), description="it waits")
        led.fleet.cancel_batch(batch.id)
        with pytest.raises(JobNotSucceeded, match="cancelled"):
            ended.result(10)


def test_an_emptied_redis_ends_a_wait(led):
    job = led.running()
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(led.fleet.wait, job.id, timeout=PATIENCE)
        wait_until(lambda: watches(led, job.id), description="it waits")
        led.redis.flushall()
        with pytest.raises(JobNotFound):
            ended.result(10)


def test_an_event_in_unknown_words_sends_its_watchers_to_the_record(led):
    job = led.running()
    with led.fleet.watch(job.id) as watch:
        led.redis.xadd(keys.EVENTS, {**ENTRY, "job": job.id, "status": "dreaming"})
        succeed(led, job)
        told = []
        while len(told) < 2:
            told += watch.take(wait=PATIENCE)
    assert told[0] is LAGGED
    assert told[1].event.status is JobStatus.SUCCEEDED


def test_a_killed_redis_is_waited_for(tmp_path):
    with BackgroundSupervisor(Supervisor(tmp_path)) as services, ExitStack() as undo:
        server = servers.start_redis(services, tmp_path / "redis")
        redis = undo.enter_context(Redis.from_url(server.url, decode_responses=True))
        led = HandLed(Settings(redis_url=server.url), redis)
        redis.config_set("appendfsync", "always")
        with led.fleet, ThreadPoolExecutor(1) as pool:
            job = led.running()
            ended = pool.submit(led.fleet.wait, job.id, timeout=PATIENCE)
            wait_until(lambda: watches(led, job.id), description="it waits")
            os.kill(services.pid("redis"), signal.SIGKILL)
            wait_until(lambda: is_up(redis), description="it is back")
            succeed(led, job)
            assert ended.result(10).status is JobStatus.SUCCEEDED


def is_up(redis) -> bool:
    try:
        return redis.ping()
    except RedisError:
        return False


def test_who_cannot_reach_redis_at_first_is_told():
    settings = Settings(redis_url="redis://127.0.0.1:1/0")
    with pytest.raises(FleetUnreachable), HandLed(settings, None).fleet.watch(EVERYTHING):
        pass


def test_a_client_that_does_not_read_is_told_later_and_holds_up_nobody(led):
    async def story():
        loop = asyncio.get_running_loop()
        async with AsyncProducer(led.settings) as producer, AsyncExitStack() as undo:
            quick, slow = [await _piped(producer, undo) for _ in range(2)]
            heard = b""
            while heard.count(b"data:") < 3000:
                for _ in range(100):
                    led.redis.xadd(keys.EVENTS, entry)
                heard += await loop.sock_recv(quick, 1 << 20)
            missed = b""
            while LAGGED_SSE not in missed:
                missed += await loop.sock_recv(slow, 1 << 20)
            led.redis.xadd(keys.EVENTS, entry)
            while b"data:" not in missed.rpartition(LAGGED_SSE)[2]:
                missed += await loop.sock_recv(slow, 1 << 20)
            return heard, missed

    entry = {**ENTRY, "job": led.running().id}
    heard, missed = asyncio.run(story())
    assert LAGGED_SSE not in heard
    assert missed.count(LAGGED_SSE) == 1


async def _piped(producer, undo):
    """Return a client's socket whose other end watches everything."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.settimeout(0)
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    undo.callback(theirs.close)
    undo.callback(transport.abort)
    pipe = Pipe(producer.fanout, [EVERYTHING], transport)
    await pipe.open()
    pipe.flow()
    undo.callback(pipe.close)
    return theirs
