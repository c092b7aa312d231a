"""What every worker is told of the fleet, and what kombu makes of the order that follows from it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from kombu import Connection, Consumer, Queue

from celery_config import app
from producer.contract.nodes import NodeState
from producer.contract.queues import Needs, Tier
from producer.dispatch import broker_url
from producer.store import keys
from producer.store.backlog import Backlog
from producer.store.calls import Call, listen
from producer.store.connection import connect
from producer.store.node_store import NodeStore
from producer.store.outlook import Line, Outlook, ReadyNode
from producer.store.sweeps import Sweeps
from tests.integration.hand_led import HandLed
from worker.scheduling.gate import GATE

LEASE, MINUTE = timedelta(seconds=15), timedelta(minutes=1)


@pytest.fixture
def sweeps(redis_client) -> Sweeps:
    return Sweeps(redis_client, keep_ended=MINUTE)


@pytest.fixture
def fleet_client(led: HandLed):
    """A connection as the processes of a fleet have it."""
    with connect(led.settings) as client:
        yield client


@pytest.fixture
def calls(redis_client):
    """The calls from now on."""
    heard = listen(redis_client, timeout=timedelta(seconds=2))
    assert next(heard) is None
    return heard


def _next(calls, *whats: str) -> Call:
    return next(call for call in calls if call and (not whats or call.what in whats))


def _register(nodes: NodeStore, name: str, state: NodeState) -> None:
    fields = {"pool": "default", "url": "", "catalog_sha": "c1", "state": state}
    nodes.register(name, worker=f"{name}:1", fields=fields)


def test_an_outlook_tells_what_waits_and_which_ready_node_has_which_models(
    redis_client, sweeps, calls, led: HandLed
):
    jobs = [led.queued() for _ in range(2)]
    nodes = NodeStore(redis_client, lease=LEASE)
    for name in ("gpu-1", "gpu-2", "gpu-3"):
        _register(nodes, name, NodeState.READY)
    _register(nodes, "gpu-4", NodeState.SUSPECT)
    nodes.say_warm("gpu-2", {"b", "a"})
    assert _next(calls, "warm") == Call("warm", 'gpu-2 ["a", "b"]')
    backlog = Backlog(redis_client, node="gpu-3", pool="default", lease=LEASE)
    backlog.say_idle(is_idle=True)

    assert sweeps.tell_outlook(every=MINUTE, lease=LEASE)
    assert not sweeps.tell_outlook(every=MINUTE, lease=LEASE), "it was told a moment ago"

    outlook = _next(calls, "outlook").outlook
    queue = Needs.of("default").queue
    sent = redis_client.zscore(f"comfyfleet:queued:{queue}:3", jobs[0].id)
    assert outlook.lines == (Line(queue, 3, 2, int(sent)),)
    assert outlook.holds_s == pytest.approx(3 * 60, rel=0.01)
    assert set(outlook.nodes) == {
        ReadyNode("gpu-1", "default", "default c1", frozenset(), is_idle=False),
        ReadyNode("gpu-2", "default", "default c1", frozenset({"a", "b"}), is_idle=False),
        ReadyNode("gpu-3", "default", "default c1", frozenset(), is_idle=True),
    }
    assert {node.name: node.warm for node in nodes.nodes()}["gpu-2"] == ("a", "b")


def test_an_empty_fleet_has_an_outlook_too(sweeps, calls):
    assert sweeps.tell_outlook(every=MINUTE, lease=LEASE)
    assert _next(calls).outlook == Outlook(lines=(), nodes=(), holds_s=180)


ODD_CALLS = (
    *("outlook", "outlook {", "outlook null", 'outlook {"waiting": 7}', "outlook " + "[" * 9_000),
    'outlook {"waiting": [["q"]], "nodes": [], "every_ms": 1}',
    'outlook {"waiting": [[7, 3, 1, 1]], "nodes": [], "every_ms": 1}',
    'outlook {"waiting": [["q", 3, 1, Infinity]], "nodes": [], "every_ms": 1}',
    'outlook {"waiting": [], "nodes": [[["x"], "c", "[]", 1, ["n"]]], "every_ms": 1}',
    *(
        'outlook {"waiting": [], "nodes": [], "every_ms": "x"}',
        "warm",
        "warm gpu-1 {",
        "warm a [[]]",
    ),
)


def test_calls_that_make_no_sense_are_passed_over_and_told_once(fleet_client, caplog):
    heard = listen(fleet_client, timeout=timedelta(seconds=2))
    assert next(heard) is None
    for odd in (*ODD_CALLS, b"cancel \xff"):
        fleet_client.publish(keys.CALLS, odd)
    fleet_client.publish(keys.CALLS, "cancel job")
    assert [_next(heard), _next(heard)] == [Call("cancel", "\\xff"), Call("cancel", "job")]
    assert len([line for line in caplog.records if "makes no sense" in line.getMessage()]) == 1


def test_a_node_with_an_odd_record_keeps_nobody_from_the_outlook(
    redis_client, sweeps, calls, led: HandLed
):
    led.queued()
    nodes = NodeStore(redis_client, lease=LEASE)
    for name in ("gpu-1", "gpu-2", "gpu-3", "gpu-4"):
        _register(nodes, name, NodeState.READY)
    redis_client.hset(keys.node("gpu-2"), "warm", "{")
    redis_client.hdel(keys.node("gpu-3"), "pool")
    redis_client.delete(keys.node("gpu-4"))
    redis_client.set(keys.node("gpu-4"), "no hash", ex=60)
    assert sweeps.tell_outlook(every=MINUTE, lease=LEASE)
    outlook = _next(calls, "outlook").outlook
    assert {node.name for node in outlook.nodes} == {"gpu-1", "gpu-2"}
    assert len(outlook.lines) == 1


def test_kombu_reads_lower_tiers_first_when_it_is_their_turn(redis_server):
    """It is so in kombu 5.7; the names that give a tier its turn are those of its lists."""
    options = {
        **app.conf.broker_transport_options,
        "queue_order_strategy": "worker.scheduling.queue_order:QueueOrder",
    }
    queue, taken = Queue("comfyfleet.pool.default.turns"), []
    with Connection(broker_url(redis_server.url), transport_options=options) as connection:
        with connection.Producer() as producer:
            for tier in [Tier.DEFAULT] * 50 + [Tier.BATCH, Tier.IDLE] * 5:
                producer.publish(
                    tier, routing_key=queue.name, declare=[queue], priority=tier.priority
                )
        consumer = Consumer(connection, [queue], no_ack=True)
        consumer.register_callback(lambda body, _: (taken.append(body), GATE.take_slot().release()))
        GATE.set_ready(ready=True)
        try:
            with consumer:
                while len(taken) < 45:
                    connection.drain_events(timeout=5)
        finally:
            GATE.set_ready(ready=False)
    lower = {place: tier for place, tier in enumerate(taken) if tier != Tier.DEFAULT}
    first, second = lower
    assert second - first == 20
    assert set(lower.values()) <= {Tier.BATCH, Tier.IDLE}
