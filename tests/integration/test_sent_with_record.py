"""A job that is handed in singly is sent by the script that records it, and recorded where that cannot send it."""

from __future__ import annotations

import json
import logging

import pytest

from producer.client import Producer
from producer.contract.errors import OwnerBacklogFull
from producer.contract.jobs import JobStatus
from producer.contract.queues import Message
from producer.store import keys
from tests.graphs import sleeping
from tests.integration.test_celery_traps import job_of
from tests.integration.test_upkeep import sweep_twice

pytestmark = pytest.mark.writes_keys


def list_of(job):
    return keys.message_list(job.queue, job.tier.priority)


def sent(led, job):
    """Return which of the messages in a job's list are its own."""
    if led.redis.type(list_of(job)) != "list":
        return []
    return [raw for raw in led.redis.lrange(list_of(job), 0, -1) if job_of(raw) == job.id]


@pytest.fixture
def unable(led, monkeypatch):
    """A library that can send nothing by itself."""

    def send_all(messages):
        raise AssertionError(f"sent {list(messages)}")

    monkeypatch.setattr(led.fleet._dispatch, "send_all", send_all)
    return led


def test_no_other_step_sends_it(unable):
    job = unable.queued()
    assert len(sent(unable, job)) == 1


def test_its_message_is_that_which_dispatch_sends(led):
    job = led.queued(tier="rush")
    led.fleet._dispatch.send_all([Message(job.id, 1, job.queue, job.tier.priority)])
    by_dispatch, by_script = map(json.loads, sent(led, job))
    tags = {message["properties"].pop("delivery_tag") for message in (by_dispatch, by_script)}
    assert by_dispatch == by_script
    assert len(tags) == 2


def test_who_asks_again_has_it_sent_once(unable):
    graph = sleeping()
    first, again = (unable.fleet.submit(graph, idempotency_key="one") for _ in range(2))
    assert again == first
    assert [job_of(raw) for raw in unable.redis.lrange(list_of(first), 0, -1)] == [first.id]


def test_what_is_refused_is_not_sent(led):
    led.fleet.limit_owner("shop", max_waiting=1)
    job = led.queued(owner="shop")
    with pytest.raises(OwnerBacklogFull):
        led.queued(owner="shop")
    assert led.redis.llen(list_of(job)) == 1


def test_a_broker_that_cannot_take_it_keeps_no_job_from_being_accepted(led, caplog):
    waiting = list_of(led.queued())
    led.redis.delete(waiting)
    led.redis.set(waiting, "no list", ex=60)
    with caplog.at_level(logging.WARNING):
        job = led.queued()
    assert led.fleet.get(job.id).status is JobStatus.QUEUED
    assert f"{job.id}: not sent, upkeep will do it" in caplog.text
    assert "WRONGTYPE" in caplog.text
    led.redis.delete(waiting)
    sweep_twice(led)
    assert len(sent(led, job)) == 1


@pytest.mark.parametrize(
    "rights", ["allkeys +@all -lpush", "%R~* ~ ~comfyfleet:* +@all", "%W~* ~ ~comfyfleet:* +@all"]
)
def test_a_user_without_rights_to_the_brokers_lists_can_still_hand_in(led, caplog, rights):
    led.redis.execute_command(f"ACL SETUSER web reset on >p allchannels {rights}")
    address = f"redis://web:p@{led.settings.redis_url.rpartition('@')[2]}"
    try:
        with Producer(led.settings.model_copy(update={"redis_url": address})) as fleet:
            job = fleet.submit(sleeping())
    finally:
        led.redis.acl_deluser("web")
    may_send = rights.startswith("%W")  # what is only written there need not be read
    assert [len(sent(led, job)), "not sent" in caplog.text] == [may_send, not may_send]
    sweep_twice(led)
    assert len(sent(led, job)) == 1
