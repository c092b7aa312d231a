"""What a person wants of a node: who may want it, what is refused, and what a beat tells of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from producer.contract.errors import InvalidJob
from producer.contract.nodes import NodeState
from producer.contract.operations import DesiredState
from producer.store import keys
from producer.store.desired_states import of_nodes
from producer.store.node_store import NodeStore
from tests.integration.api_server import problem
from tests.integration.hand_led import LEASE, WORKER
from tests.integration.test_command_counts import calls

HOUR = timedelta(hours=1)


@pytest.fixture
def nodes(led):
    """Two nodes of one pool, and the store that has them."""
    store = NodeStore(led.redis, lease=LEASE)
    for name in ("gpu-01", "gpu-02"):
        register(store, name)
    return store


def register(store, name="gpu-01", *, pool="video"):
    fields = {"pool": pool, "url": "http://gpu", "state": NodeState.READY, "host": "here"}
    return store.register(name, worker=WORKER, fields=fields)


def test_a_wish_rides_on_the_next_beat_and_on_the_next_registration(led, nodes):
    assert nodes.beat("gpu-01", worker=WORKER).wanted.own is None
    [node] = led.fleet.drain_nodes(["gpu-01"], reason="a new card", actor="kim")
    assert (node.desired.state, node.desired.reason) == (DesiredState.DRAINED, "a new card")
    told = nodes.beat("gpu-01", worker=WORKER).wanted.own
    assert (told.state, told.actor) == ("drained", "kim")
    assert nodes.beat("gpu-02", worker=WORKER).wanted.own is None
    led.redis.delete(keys.node("gpu-01"))
    assert register(nodes).own == told
    assert nodes.beat("gpu-01", worker=WORKER).wanted.own == told
    [node] = led.fleet.resume_nodes(["gpu-01"])
    assert node.desired is None
    assert nodes.beat("gpu-01", worker=WORKER).wanted.own is None
    assert register(nodes).own is None


def test_a_wish_is_over_by_redis_own_clock(led, nodes):
    wishes = of_nodes(led.redis)
    wishes.set("gpu-01", DesiredState.PAUSED, actor="kim", until=datetime.now(UTC) - HOUR)
    assert nodes.beat("gpu-01", worker=WORKER).wanted.own is None
    assert register(nodes).own is None
    assert [node.desired for node in led.fleet.nodes()] == [None, None]


def test_a_wish_that_makes_no_sense_is_none(led, nodes):
    for torn in ("{", "[]", "7", '{"until_ms": {}}'):
        led.redis.hset(keys.node("gpu-01"), "desired", torn)
        led.redis.hset(keys.DESIRED, "gpu-01", torn)
        assert nodes.beat("gpu-01", worker=WORKER).wanted.own is None
        assert register(nodes).own is None
        assert len(led.fleet.nodes()) == 2


def test_a_beat_costs_no_more_commands_for_it(led, nodes):
    def cost():
        before = calls(led.redis)
        nodes.beat("gpu-01", worker=WORKER)
        return calls(led.redis) - before

    cost()  # loads the script
    without = cost()
    led.fleet.pause_nodes(["gpu-01"])
    assert cost() == without


@pytest.mark.usefixtures("nodes")
def test_the_last_ready_nodes_of_a_pool_are_taken_out_only_by_its_name(led):
    led.fleet.drain_nodes(["gpu-01"])
    led.fleet.resume_nodes(["gpu-01"])
    for call in (led.fleet.drain_nodes, led.fleet.pause_nodes):
        with pytest.raises(InvalidJob, match="no ready node of pool video would be left") as no:
            call(["gpu-01", "gpu-02"], last_of="film")
        assert (no.value.field, no.value.allowed) == ("last_of", ["video"])
    assert of_nodes(led.redis).get() == {}
    assert len(led.fleet.drain_nodes(["gpu-01", "gpu-02"], last_of="video")) == 2


@pytest.mark.usefixtures("nodes")
def test_what_cannot_be_wanted_is_refused_and_nothing_is_written(led):
    with pytest.raises(InvalidJob, match="no node gpu-03") as refusal:
        led.fleet.drain_nodes(["gpu-01", "gpu-03"])
    assert "did you mean gpu-0" in refusal.value.advice
    last = datetime.max.replace(tzinfo=timezone(-HOUR))
    with pytest.raises(InvalidJob, match="until lies beyond the last day"):
        led.fleet.pause_nodes(["gpu-01"], until=last)
    with pytest.raises(InvalidJob, match="until is over already"):
        led.fleet.pause_nodes(["gpu-01"], until=datetime.now(UTC) - HOUR)
    with pytest.raises(InvalidJob, match="no time zone"):
        led.fleet.pause_nodes(["gpu-01"], until=datetime(2040, 1, 1))  # noqa: DTZ001 - that is it
    with pytest.raises(InvalidJob, match="until"):
        led.fleet.pause_nodes(["gpu-01"], until="tomorrow")
    assert of_nodes(led.redis).get() == {}
    assert [node.name for node in led.fleet.drain_nodes("gpu-01")] == ["gpu-01"]


def test_nodes_are_drained_over_http_by_who_operates_the_fleet(api, nodes):
    ops = api(scopes="operate")
    answer = ops.post("/v1/nodes/gpu-01/drain", {"reason": "a new card"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["desired"]["state"] == "drained"
    assert answer.json()["desired"]["actor"].startswith("key shop-")
    nodes.say("gpu-01", state=NodeState.PAUSED, reason="drained")
    told = problem(ops.post("/v1/nodes/gpu-02/pause", {}), 422, "invalid-request")
    assert told["errors"][0]["pointer"] == "#/last_of"
    assert ops.post("/v1/nodes/gpu-02/pause", {"last_of": "video"}).ok
    assert ops.post("/v1/nodes/gpu-02/resume").json().get("desired") is None
    problem(ops.post("/v1/nodes/gpu-09/drain", {}), 404, "not-found")
    problem(ops.post("/v1/nodes/gpu-09/resume"), 404, "not-found")
    problem(api(scopes="submit,read").post("/v1/nodes/gpu-01/drain", {}), 403, "forbidden")
    naive = {"until": "2040-01-01T00:00:00"}
    problem(ops.post("/v1/nodes/gpu-01/drain", naive), 422, "invalid-request")
