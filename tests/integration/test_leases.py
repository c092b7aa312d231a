"""The worker's leases: whose they are, and since when Redis answers."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

import pytest

from producer.contract.errors import LeaseLost
from producer.store import keys
from producer.store.attempts import Hold
from producer.store.events import EventStream
from producer.store.node_store import NodeStore
from tests.integration.hand_led import LEASE, WORKER, hold
from tests.polling import wait_until
from worker.attempt.lease import LeaseKeeper


@pytest.fixture
def keeper(redis_client):
    """A keeper that beats twenty times a second."""
    keeper = LeaseKeeper(
        NodeStore(redis_client, lease=LEASE),
        node="gpu-01",
        worker=WORKER,
        every=timedelta(seconds=0.05),
        on_displaced=lambda _: None,
    )
    keeper.start()
    yield keeper
    keeper.stop()


def test_a_job_that_came_back_keeps_its_lease_when_its_former_attempt_lets_go(led, keeper):
    job = led.running(led.delayed(delay=timedelta(0)))
    former, present = keeper.keep(Hold(job.id, 1, WORKER)), ExitStack()
    with present:
        with former as overtaken:
            lease = present.enter_context(keeper.keep(hold(job)))
        assert len(keeper) == 1
        led.fleet.cancel(job.id)
        wait_until(lease.cancel.is_set, description="the present attempt hears of it")
        with pytest.raises(LeaseLost):
            overtaken.check()


def test_redis_has_answered_since_it_was_last_away(redis_client, keeper):
    wait_until(lambda: keeper.answered_s > 0.3, description="it has answered for a while")
    redis_client.config_set("min-replicas-to-write", 1)
    try:
        wait_until(lambda: keeper.answered_s == 0, description="no beat is answered")
    finally:
        redis_client.config_set("min-replicas-to-write", 0)
    wait_until(lambda: keeper.answered_s > 0, description="beats are answered again")
    assert keeper.answered_s < 0.3


def test_a_beat_tells_whether_somebody_reads_the_events(redis_client, keeper):
    assert keeper.is_watched  # until it is known
    wait_until(lambda: not keeper.is_watched, description="nobody does")
    EventStream(redis_client).say_watched()
    wait_until(lambda: keeper.is_watched, description="somebody does")
    redis_client.delete(keys.WATCHED)
    wait_until(lambda: not keeper.is_watched, description="nobody does any more")
