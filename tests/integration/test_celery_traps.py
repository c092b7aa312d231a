"""Known traps of Celery on Redis; each test fails if an upgrade or a setting brings one back.

Found on celery 5.7.0, kombu 5.7.0 and redis-py 8.1.0 with real workers and a real server. Where a
trap cannot be disarmed, its test shows that it is still there, and so why we keep what works
around it.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
import tomllib
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest
import redis
from celery import Celery
from packaging.requirements import Requirement

from celery_config import app
from infra.local.background import BackgroundSupervisor
from infra.local.supervisor import Supervisor
from producer.contract.config.settings import Settings
from producer.contract.errors import FleetUnreachable
from producer.contract.ids import new_job_id
from producer.contract.queues import Message, Tier
from producer.dispatch import Dispatch
from producer.store import keys
from tests import servers
from tests.integration.trap_worker import QUEUE, trap_worker
from tests.polling import wait_until

pytestmark = pytest.mark.release


@pytest.fixture
def supervisor(tmp_path):
    with BackgroundSupervisor(Supervisor(tmp_path)) as supervisor:
        yield supervisor


@pytest.fixture
def server(supervisor, tmp_path):
    """A Redis of the test's own, started again by its supervisor when it is killed."""
    return servers.start_redis(supervisor, tmp_path / "redis")


@pytest.fixture
def client(server):
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        yield client


@pytest.fixture
def start_worker(server, tmp_path):
    return lambda name="worker": trap_worker(server.url, tmp_path / f"{name}.jsonl")


@pytest.fixture
def send(server):
    """Send one nap, by the same app and settings as any producer."""
    with app.connection_for_write(server.url) as connection:

        def send_(name, card_s=0.0, beside_s=0.0, *, priority=0):
            app.send_task(
                "trap.nap",
                (name, card_s, beside_s),
                queue=QUEUE,
                priority=priority,
                ignore_result=True,
                connection=connection,
            )

        yield send_


@pytest.fixture
def dispatch(server):
    return Dispatch(Settings(redis_url=server.url))


def test_the_versions_are_those_that_the_traps_are_known_of():
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    wanted = {one.name: one for one in map(Requirement, project["dependencies"])}

    for name in ("celery", "kombu"):
        assert wanted[name].specifier.contains(version(name))
        assert version(name).startswith("5.7.")
    assert wanted["redis"].specifier.contains(version("redis"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_redis_restart_with_messages_in_flight_neither_ends_the_worker_nor_runs_one_twice(
    supervisor, client, start_worker, send, number
):
    with start_worker() as worker:
        put_in_flight(worker, send)

        old = supervisor.pid("redis")
        os.kill(old, number)
        wait_until(lambda: supervisor.pid("redis") != old, description="another Redis")
        wait_until(lambda: is_served(client), description="it serves")

        assert_goes_on_once(worker, send)


def test_a_dropped_connection_with_messages_in_flight_runs_none_twice(client, start_worker, send):
    with start_worker() as worker:
        put_in_flight(worker, send)

        client.client_kill_filter(_type="normal", skipme=True)

        assert_goes_on_once(worker, send)


def put_in_flight(worker, send):
    send("beside", beside_s=1.5)
    send("on the card", card_s=1.5)
    send("waiting")
    wait_until(lambda: len(worker.begun()) == 2, description="two run, one waits")


def assert_goes_on_once(worker, send):
    send("after")
    wait_until(lambda: "after" in worker.names(), description="it consumes", within_s=20)
    assert worker.is_alive
    assert sorted(worker.begun()) == ["after", "beside", "on the card", "waiting"]


def test_no_gap_opens_between_short_jobs_while_another_slot_is_busy(start_worker, send):
    with start_worker() as worker:
        send("long", beside_s=30)
        for number in range(30):
            send(str(number), card_s=0.05)
        wait_until(lambda: len(worker.naps()) == 30, description="the short ones ran")

        naps = [nap for nap in worker.naps() if nap["name"] != "long"]
        gaps = [after["began"] - before["ended"] for before, after in pairwise(naps)]
        assert statistics.mean(gaps) < 0.05


def test_a_pop_that_is_cut_loses_its_message_so_upkeep_has_to_send_again(
    client, start_worker, send
):
    with start_worker("first") as worker:
        send("warm-up")
        wait_until(lambda: worker.names() == ["warm-up"], description="it consumes")
        wait_until(lambda: froze_in_its_pop(client, worker), description="it is frozen in a pop")
        send("lost")
        assert not client.exists(*lists())

    assert not client.hlen("unacked")
    with start_worker("second") as worker:
        send("later")
        wait_until(worker.names, description="the next worker consumes")
        assert worker.names() == ["later"]


def test_an_entry_that_is_no_message_neither_ends_the_worker_nor_holds_up_the_next(
    client, start_worker, send
):
    send("whole")
    whole = json.loads(client.rpop(QUEUE))
    junk = ["", "no JSON", b"\xff\xfe", "null", "[]", "{}", "7", '"text"', "[" * 5_000]
    junk += [json.dumps(torn) for torn in torn_messages(whole)]
    with start_worker() as worker:
        client.lpush(QUEUE, *junk)
        send("after")
        wait_until(lambda: worker.names() == ["after"], description="it consumes", within_s=20)
        assert worker.is_alive
        assert not client.llen(QUEUE)
        wait_until(lambda: not client.hlen("unacked"), description="nothing is kept")


def torn_messages(whole):
    """Give a message without each of its parts, and with another value in its place."""
    for part in ("headers", "properties", "body"):
        yield {name: value for name, value in whole.items() if name != part}
        yield {**whole, part: 7}
    for part, names in {
        "headers": ("task", "id"),
        "properties": ("delivery_tag", "delivery_info"),
    }.items():
        for name in names:
            for value in (None, 7, [], {"a": 1}):
                yield {**whole, part: {**whole[part], name: value}}
    yield {**whole, "body": "no base64, at all"}
    yield {**whole, "headers": {**whole["headers"], "task": "foreign"}}


def test_nobody_who_reaches_redis_tells_a_worker_what_to_do(server, start_worker, send):
    with start_worker() as worker, Celery(broker=server.url) as somebody:
        somebody.control.shutdown()
        somebody.control.cancel_consumer(QUEUE)
        assert not somebody.control.ping(timeout=0.3)
        send("after")
        wait_until(lambda: worker.names() == ["after"], description="it consumes")
        assert worker.is_alive


def test_a_full_redis_leaves_the_worker_alive_and_later_jobs_run(client, start_worker, send):
    with start_worker() as worker:
        send("first", card_s=0.5)
        send("popped while full")
        wait_until(worker.begun, description="one runs, one waits")
        client.config_set("maxmemory", 1)
        wait_until(lambda: not client.llen(QUEUE), description="it pops although Redis is full")
        wait_until(lambda: was_refused(client), description="its note of that is refused")

        client.config_set("maxmemory", 0)
        send("later")

        wait_until(lambda: "later" in worker.names(), description="it consumes", within_s=20)
        assert worker.is_alive
        assert worker.names().count("later") == 1


def test_a_hung_redis_stops_a_publisher_for_a_bounded_time_and_may_have_its_message(
    supervisor, client, dispatch
):
    options = app.conf.broker_transport_options
    assert 0 < options["socket_timeout"] <= 10
    assert not options.get("retry_on_timeout")
    before, during = new_job_id(), new_job_id()
    dispatch.send_all([Message(before, 1, QUEUE, 0)])

    os.kill(supervisor.pid("redis"), signal.SIGSTOP)
    began = time.monotonic()
    try:
        with pytest.raises(FleetUnreachable):
            dispatch.send_all([Message(during, 1, QUEUE, 0)])
        took = time.monotonic() - began
    finally:
        os.kill(supervisor.pid("redis"), signal.SIGCONT)

    assert took < 9  # 2 s a try: to send, to connect again, to send again
    wait_until(lambda: client.llen(QUEUE) > 1, description="it was delivered all the same")
    assert {job_of(raw) for raw in client.lrange(QUEUE, 0, -1)} == {before, during}


@pytest.mark.parametrize("tier", Tier)
def test_a_tiers_message_lies_in_the_list_that_upkeep_looks_at(client, dispatch, tier):
    dispatch.send_all([Message(new_job_id(), 1, QUEUE, tier.priority)])

    assert client.keys(f"{QUEUE}*") == [keys.message_list(QUEUE, tier.priority)]


def test_a_message_is_what_upkeep_reads_of_it_and_the_oldest_is_the_tail(client, dispatch):
    first, second = new_job_id(), new_job_id()
    dispatch.send_all([Message(first, 1, QUEUE, 0)])
    dispatch.send_all([Message(second, 12, QUEUE, 0)])

    newest, oldest = client.lrange(QUEUE, 0, -1)

    assert client.lindex(QUEUE, -1) == oldest
    assert json.loads(newest)["headers"]["id"] == f"{second}.12"
    assert [job_of(oldest), job_of(newest)] == [first, second]


def test_a_more_urgent_tier_goes_first_whatever_was_sent_first(start_worker, send):
    with start_worker() as worker:
        send("holds the card", card_s=0.5)
        wait_until(worker.begun, description="it runs")
        for tier in reversed(Tier):
            send(tier, priority=tier.priority)

        wait_until(lambda: len(worker.naps()) == 5, description="all ran")
        assert worker.names()[1:] == list(Tier)


def test_a_message_without_a_priority_is_the_most_urgent_so_every_one_must_name_its_own(
    client, server
):
    with app.connection_for_write(server.url) as connection:
        app.send_task("trap.nap", queue=QUEUE, connection=connection)

    assert client.keys(f"{QUEUE}*") == [keys.message_list(QUEUE, Tier.RUSH.priority)]
    with pytest.raises(TypeError, match="priority"):
        Message(new_job_id(), attempt=1, queue=QUEUE)


def is_served(client):
    try:
        return client.ping()
    except redis.RedisError:
        return False


def was_refused(client):
    return "errorstat_OOM" in client.info("errorstats")


def froze_in_its_pop(client, worker):
    """Freeze the worker; if Redis does not hold a blocking pop of it just now, let it go on."""
    os.kill(worker.pid, signal.SIGSTOP)
    if any(one["cmd"] == "brpop" and "b" in one["flags"] for one in client.client_list()):
        return True
    os.kill(worker.pid, signal.SIGCONT)
    return False


def job_of(raw):
    return json.loads(raw)["headers"]["id"].rpartition(".")[0]


def lists():
    """Return every list in which a message of our queue may lie."""
    return [keys.message_list(QUEUE, tier.priority) for tier in Tier]
