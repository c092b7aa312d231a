"""Webhooks that name them are told what happens before the end: a start, a seal, each tenth of a batch."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from producer.checking.findings import Kind
from producer.contract.errors import InvalidJob
from producer.contract.ids import row_id
from producer.contract.jobs import JobError
from producer.contract.nodes import NodeState
from producer.contract.webhooks import OF_NODES, EventType
from producer.store import keys
from producer.store.deliveries import Deliveries
from producer.store.node_store import NodeStore
from producer.store.outbox import Outbox
from producer.webhooks.service import HookService
from tests.integration.batch_feeding import GRAPH, feed, seeds, take
from tests.integration.checks import assert_found_and_mended
from tests.integration.hand_led import LEASE, WORKER
from tests.integration.webhooks.rig import register

ENDS = {
    *(f"job.{status}" for status in ("succeeded", "failed", "cancelled", "expired")),
    "batch.finished",
}


@pytest.fixture
def told(service, to):
    """Do what the sweep and one sender would; return the messages that this brought."""

    def tell():
        before = len(to.got)
        service.sweep_once()
        service.send()
        return to.got[before:]

    return tell


def batch_of(led, rows):
    return led.fleet.submit_many(GRAPH, seeds(rows), hook="shop", name="night")


def test_a_webhook_that_names_no_events_is_told_of_ends(led, to):
    others = {"job.started", "batch.sealed", "batch.progress", "batch.braked", *OF_NODES}
    assert set(EventType) == ENDS | others
    assert set(register(led, to).events) == ENDS
    for event in ("batch.opened", "node.joined"):
        with pytest.raises(
            InvalidJob, match=f"there is no event {event}; events are .*job.started"
        ):
            led.fleet.webhooks.create("more", to.url, events=[event])


def test_the_first_start_of_a_job_is_told_and_no_later_one(led, to, told):
    register(led, to, events=["job.started"])
    job = led.running(led.queued(hook="shop", metadata={"order": "7"}))
    [message] = told()
    assert message["type"] == "job.started"
    assert message["timestamp"] == led.fleet.get(job.id).started_at.isoformat()
    assert message["data"] == {
        "id": job.id,
        "status": "running",
        "metadata": {"order": "7"},
        "artifacts": 0,
        "links": {"self": f"/v1/jobs/{job.id}"},
    }
    error = JobError(cause="node_fault", message="the node went away", node="gpu-01")
    again = {"error": error, "charged": False, "delay": timedelta(0)}
    led.store.requeue(job.id, attempt=1, worker=WORKER, **again)
    assert led.running(led.fleet.get(job.id)).attempt == 2
    led.cancelled(led.queued(hook="shop"))
    assert told() == []
    assert led.redis.zcard(keys.OUTBOX) == 0


def test_who_did_not_ask_is_told_nothing_of_a_start(led, to, told):
    register(led, to)
    led.running(led.queued(hook="shop"))
    led.running(led.queued())
    assert led.redis.zcard(keys.OUTBOX) == 0
    assert told() == []


def test_a_job_that_was_told_to_have_started_is_told_to_have_ended(led, to, told):
    register(led, to, events=["job.started", "job.failed"])
    job = led.failed(led.queued(hook="shop"))
    assert {message["type"] for message in told()} == {"job.started", "job.failed"}
    assert len(set(to.ids)) == 2
    assert led.redis.hexists(keys.job(job.id), "told_ms")


def test_what_was_before_the_end_does_not_count_as_the_end(led, to, told):
    register(led, to, events=["job.started"])
    job = led.running(led.queued(hook="shop"))
    assert len(told()) == 1
    assert not led.redis.hexists(keys.job(job.id), "told_ms")


def test_a_batch_is_told_to_be_sealed_and_how_far_it_is(led, to, told):
    register(led, to, events=["batch.sealed", "batch.progress", "batch.finished"])
    batch = batch_of(led, 4)
    [sealed] = told()
    assert (sealed["type"], sealed["data"]["id"], sealed["data"]["rows"]) == (
        "batch.sealed",
        batch.id,
        4,
    )
    feed(led.fleet)
    for progress in (0.2, 0.5):
        take(led, 1)
        [message] = told()
        assert (message["type"], message["data"]["progress"]) == ("batch.progress", progress)
        assert message["data"]["counts"]["cancelled"] == round(4 * progress + 0.1)
    take(led, 1)
    take(led, 1)
    assert [message["type"] for message in told()] == ["batch.finished"]
    assert len(set(to.ids)) == len(to.ids) == 4


def test_tenths_that_nobody_told_in_time_are_told_as_one(led, to, told):
    register(led, to, events=["batch.progress"])
    batch_of(led, 10)
    feed(led.fleet)
    for _ in range(3):
        take(led, 1)
    assert [message["data"]["progress"] for message in told()] == [0.3]


def test_a_batch_that_is_braked_is_told_once_with_its_reason(led, to, told):
    register(led, to, events=["batch.braked"])
    batch = led.fleet.submit_many(GRAPH, seeds(5), hook="shop", max_failed=2)
    feed(led.fleet)
    for row in (1, 2, 3):
        led.failed(led.fleet.get(row_id(batch.id, row)))
    [message] = told()
    assert message["type"] == "batch.braked"
    assert message["timestamp"] == led.fleet.batch(batch.id).braked_at.isoformat()
    assert message["data"]["reason"] == "2 of 5 jobs have failed; max_failed is 2"
    assert led.redis.zcard(keys.OUTBOX) == 0


def test_a_brake_that_was_released_before_it_was_told_is_not_told(led, to, told):
    register(led, to, events=["batch.braked"])
    batch = led.fleet.submit_many(GRAPH, seeds(5), hook="shop", max_failed=1)
    feed(led.fleet)
    led.failed(led.fleet.get(row_id(batch.id, 1)))
    led.fleet.release_batch(batch.id)
    assert told() == []


def test_a_check_leaves_what_is_to_be_told_and_takes_out_what_nobody_asks_for(led, to, told):
    register(led, to, events=["job.started"])
    job, other = led.running(led.queued(hook="shop")), led.running()
    stray = f"event:job.started:{other.id}"
    led.redis.zadd(keys.OUTBOX, {stray: 1})
    assert_found_and_mended(led, Kind.STRAY_ENTRY, stray)
    assert led.redis.zrange(keys.OUTBOX, 0, -1) == [f"event:job.started:{job.id}"]
    assert len(told()) == 1


def saying(led, *states):
    """Have a node say one state after the other."""
    nodes = NodeStore(led.redis, lease=LEASE)
    if not led.fleet.nodes():
        fields = {"pool": "video", "url": "http://n", "state": "ready", "host": "h"}
        nodes.register("gpu-01", worker=WORKER, fields=fields)
    for state in states:
        nodes.say("gpu-01", state=NodeState(state), reason=f"it is {state}")


def test_who_asks_is_told_once_that_a_node_is_set_aside_and_that_it_works_again(led, to, told):
    register(led, to, events=OF_NODES)
    saying(led, "suspect", "quarantined", "quarantined", "offline", "joining", "quarantined")
    [message] = told()
    assert message["type"] == "node.quarantined"
    assert message["data"] == {
        "id": "gpu-01",
        "status": "quarantined",
        "pool": "video",
        "reason": "it is quarantined",
        "links": {"self": "/v1/nodes"},
    }
    saying(led, "offline", "joining", "ready", "suspect", "ready")
    [message] = told()
    assert (message["type"], message["data"]["status"]) == ("node.recovered", "ready")
    assert led.redis.zcard(keys.OUTBOX) == 0
    saying(led, "quarantined", "ready")
    assert {message["type"] for message in told()} == set(OF_NODES)


def test_every_webhook_that_asks_for_nodes_is_told_and_no_other(led, to, told):
    secret = led.fleet.webhooks.create("first", to.url, owner="shop", events=OF_NODES).secret
    to.secret = secret.get_secret_value()
    led.redis.hset(
        keys.WEBHOOK_SECRETS, "press:second", led.redis.hget(keys.WEBHOOK_SECRETS, "shop:first")
    )
    made = led.fleet.webhooks.create
    made("second", to.url, owner="press", events=["node.quarantined"])
    made("third", to.url, owner="press", events=["node.recovered"])
    made("fourth", to.url, owner="press")
    saying(led, "quarantined")
    assert [message["type"] for message in told()] == ["node.quarantined"] * 2
    assert len(set(to.ids)) == 1
    assert led.redis.zcard(keys.OUTBOX) == 0


def test_a_sender_that_dies_between_two_webhooks_leaves_none_untold_and_tells_none_twice(led, to):
    register(led, to, events=["node.quarantined"])
    led.fleet.webhooks.create("other", to.url, events=["node.quarantined"])
    saying(led, "quarantined")
    [end] = Outbox(led.redis).take_due(limit=5, within=timedelta(0))
    at = round(json.loads(end.id)["at"])
    sent = {"event": end.event, "body": "{}", "end": end, "is_for_others": True}
    assert Deliveries(led.redis).add(":other", f"node.quarantined_gpu-01_{at}", **sent)
    assert led.redis.zcard(keys.OUTBOX) == 1
    service = HookService(led.settings)
    service.sweep_once()
    service.close()
    assert led.redis.zcard(keys.OUTBOX) == 0
    waiting = {name: len(led.fleet.webhooks.deliveries(name)) for name in ("shop", "other")}
    assert waiting == {"shop": 1, "other": 1}


def test_nothing_is_noted_of_a_node_where_nobody_asks(led, to):
    register(led, to)
    saying(led, "quarantined", "ready")
    assert not led.redis.exists(keys.OUTBOX)


def test_a_check_leaves_what_is_to_be_told_of_a_node(led, to, told):
    register(led, to, events=OF_NODES)
    saying(led, "quarantined")
    stray = "event:node.quarantined:{"
    led.redis.zadd(keys.OUTBOX, {stray: 1})
    assert_found_and_mended(led, Kind.STRAY_ENTRY, stray)
    assert len(told()) == 1
