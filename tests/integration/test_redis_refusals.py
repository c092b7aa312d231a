"""What Redis refuses is an outage to be waited for, in words that a person can act on."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infra.local.ports import choose_ports
from infra.local.valkey import find_binary
from producer.contract.errors import FleetUnreachable
from producer.contract.jobs import JobStatus
from producer.contract.queues import Message
from producer.store import keys
from producer.store.connection import translated
from tests.polling import wait_until

#: So many keys take about 2 s to load when each is given 0.1 ms, as this server can be told to.
KEYS = 15_000
SLOWLY = ("--key-load-delay", "50")


@pytest.fixture
def without_replicas(redis_client):
    """Redis, which misses the replicas that it was told to have."""
    redis_client.config_set("min-replicas-to-write", 1)
    yield redis_client
    redis_client.config_set("min-replicas-to-write", 0)


@pytest.fixture
def without_primary(redis_client):
    """Redis, the replica of a primary that is not there."""
    redis_client.config_set("replica-serve-stale-data", "no")
    redis_client.replicaof("127.0.0.1", 1)
    yield redis_client
    redis_client.replicaof("NO", "ONE")
    redis_client.config_set("replica-serve-stale-data", "yes")


def test_a_redis_that_misses_its_replicas_is_away(without_replicas):
    with pytest.raises(FleetUnreachable, match="bring them back"), translated(without_replicas):
        without_replicas.set("key", "value")


def test_a_pipeline_that_misses_them_is_told_the_same(without_replicas):
    with without_replicas.pipeline(transaction=False) as pipe:
        pipe.set("key", "value")
        with pytest.raises(FleetUnreachable, match="bring them back"), translated(pipe):
            pipe.execute()


def test_a_replica_without_its_primary_is_away(without_primary):
    with pytest.raises(FleetUnreachable, match="at that"), translated(without_primary):
        without_primary.get("key")


def test_a_redis_that_still_reads_its_data_is_away(tmp_path):
    port = choose_ports(["redis"], {})["redis"]
    with running(tmp_path, port) as client, client.pipeline(transaction=False) as pipe:
        for number in range(KEYS):
            pipe.set(number, "value")
        pipe.execute()
    with running(tmp_path, port, *SLOWLY) as client:
        with (
            pytest.raises(FleetUnreachable, match=r"not serve yet.*reading its data"),
            translated(client),
        ):
            client.dbsize()
        wait_until(lambda: serves(client), description="it has read its data")
        assert client.dbsize() == KEYS


@contextmanager
def running(folder, port, *options):
    """Have a server on a folder for a while; yield a client as soon as it answers somehow."""
    command = (find_binary(), "--port", str(port), "--dir", folder, "--appendonly", "yes")
    always = ("--save", "", "--appendfsync", "always", "--bind", "127.0.0.1")
    with (
        subprocess.Popen([*command, *always, *options], stdout=subprocess.DEVNULL) as process,
        redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as client,
    ):
        try:
            wait_until(lambda: answers(client), description="it answers")
            yield client
        finally:
            process.kill()


def answers(client) -> bool:
    try:
        return client.ping()
    except redis.BusyLoadingError:
        return True
    except redis.ConnectionError:
        return False


def serves(client) -> bool:
    try:
        return client.ping()
    except redis.BusyLoadingError:
        return False


def test_a_job_is_accepted_although_the_broker_does_not_take_its_message(led):
    first = led.queued()
    waiting = keys.message_list(first.queue, first.tier.priority)
    led.redis.delete(waiting)
    led.redis.set(waiting, "no list", ex=60)
    job = led.queued()
    again = [Message(job.id, 1, job.queue, job.tier.priority)]
    with pytest.raises(FleetUnreachable, match=r"did not take a message.*WRONGTYPE"):
        led.fleet._dispatch.send_all(again)
    assert led.fleet.get(job.id).status is JobStatus.QUEUED
    led.redis.delete(waiting)
    led.fleet._dispatch.send_all(again)
