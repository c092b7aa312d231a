"""Whoever watches jobs misses no end: events that are lost, odd or late, Redis that goes, clients that do not read."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
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
from producer.contract.ids import row_id
from producer.contract.jobs import JobStatus
from producer.events import following
from producer.events.event_pipe import Pipe
from producer.events.notices import LAGGED, LAGGED_SSE
from producer.events.subscribers import EVERYTHING
from producer.store import keys
from tests import servers
from tests.bench.seeding import seed_rows
from tests.integration.hand_led import HandLed
from tests.integration.test_fanout import ENTRY, PATIENCE, succeed, watches
from tests.polling import wait_until


@pytest.fixture
def led(led_alone):
    return led_alone


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
    monkeypatch.setattr(following, "RECHECK_EVERY", timedelta(seconds=0.1))
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
            read = records_read(redis)
            ended = pool.submit(led.fleet.wait, job.id, timeout=PATIENCE)
            wait_until(lambda: watches(led, job.id), description="it waits")
            wait_until(lambda: records_read(redis) > read, description="it knows the present state")
            os.kill(services.pid("redis"), signal.SIGKILL)
            wait_until(lambda: is_up(redis), description="it is back")
            succeed(led, job)
            assert ended.result(10).status is JobStatus.SUCCEEDED


def records_read(redis) -> int:
    return redis.info("commandstats").get("cmdstat_hgetall", {"calls": 0})["calls"]


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
