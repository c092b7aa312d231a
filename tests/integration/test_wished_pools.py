"""What a person wants of a pool reaches each of its nodes; doubts of a node, and how they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from producer.contract.errors import InvalidJob
from producer.contract.nodes import NodeState
from producer.store import keys
from producer.store.actions import Actions
from producer.store.node_store import NodeStore
from tests.integration.api_server import problem
from tests.integration.hand_led import LEASE, WORKER
from tests.integration.test_wished_nodes import register

HOUR = timedelta(hours=1)


@pytest.fixture
def nodes(led):
    """Two nodes of one pool, one of another, and the store that has them."""
    store = NodeStore(led.redis, lease=LEASE)
    register(store, "gpu-01")
    register(store, "gpu-02")
    register(store, "gpu-09", pool="stills")
    return store


def wanted(nodes, name):
    return nodes.beat(name, worker=WORKER).wanted


def test_what_is_wanted_of_a_pool_is_told_to_each_of_its_nodes_and_to_those_that_join(led, nodes):
    [pool] = led.fleet.pause_pools(["video"], reason="the night", actor="kim")
    assert (pool.nodes, pool.desired.state) == ({"ready": 2}, "paused")
    for name in ("gpu-01", "gpu-02"):
        told = wanted(nodes, name)
        assert (told.own, told.pool.actor, told.pool.reason) == (None, "kim", "the night")
    assert wanted(nodes, "gpu-09").pool is None
    assert register(nodes, "gpu-03").pool == told.pool
    assert wanted(nodes, "gpu-03").pool == told.pool
    assert register(nodes, "gpu-03", pool="stills").pool is None
    led.redis.delete(keys.node("gpu-01"))
    assert register(nodes, "gpu-01").pool == told.pool
    assert led.fleet.resume_pools("video")[0].desired is None
    assert wanted(nodes, "gpu-01").pool is None
    assert register(nodes, "gpu-04").pool is None


def test_a_pool_and_its_node_are_taken_back_each_by_itself(led, nodes):
    led.fleet.drain_nodes(["gpu-01"], reason="a new card", actor="kim")
    led.fleet.pause_pools(["video"], until=datetime.now(UTC) + HOUR, actor="lee")
    [node] = [one for one in led.fleet.nodes() if one.name == "gpu-01"]
    assert node.wishes[0] == "drained by kim: a new card"
    assert node.wishes[1].startswith("pool video paused by lee, until ")
    led.fleet.resume_pools(["video"])
    assert wanted(nodes, "gpu-01")[:3] == (node.desired, None, None)
    led.fleet.pause_pools(["video"], actor="lee")
    led.fleet.resume_nodes(["gpu-01"])
    told = wanted(nodes, "gpu-01")
    assert (told.own, told.pool.state) == (None, "paused")
    said = [(one.what, one.actor, one.selection) for one in Actions(led.redis).newest(2)]
    assert said == [("node.resume", "", "gpu-01"), ("pool.pause", "lee", "video")]


@pytest.mark.usefixtures("nodes")
def test_a_wish_of_a_pool_is_over_at_its_time_and_one_that_makes_no_sense_is_none(led, nodes):
    for torn in ("{", '{"until_ms": 5}'):
        led.redis.hset(keys.POOLS, "video", torn)
        assert register(nodes, "gpu-01").pool is None
        assert wanted(nodes, "gpu-01").pool is None
        assert len(led.fleet.nodes()) == 3


@pytest.mark.usefixtures("nodes")
def test_a_pool_that_nobody_knows_is_refused_and_nothing_is_written(led):
    with pytest.raises(InvalidJob, match="there is no pool vidoe") as no:
        led.fleet.pause_pools(["video", "vidoe"])
    assert (no.value.field, no.value.advice) == ("pool", "did you mean video?")
    with pytest.raises(InvalidJob, match="until is over"):
        led.fleet.drain_pools(["video"], until=datetime.now(UTC) - HOUR)
    with pytest.raises(InvalidJob, match="pool"):
        led.fleet.resume_pools([7])
    assert led.redis.exists(keys.POOLS) == 0
    assert Actions(led.redis).newest(1) == []


def test_a_quarantine_outlasts_every_other_verb_until_it_is_cleared(led, nodes):
    with pytest.raises(InvalidJob, match="needs a reason"):
        led.fleet.quarantine_nodes(["gpu-01"], reason=" ")
    with pytest.raises(InvalidJob, match="no ready node of pool video would be left"):
        led.fleet.quarantine_nodes(["gpu-01", "gpu-02"], reason="grey pictures")
    [node] = led.fleet.quarantine_nodes(["gpu-01"], reason="grey pictures", actor="kim")
    assert node.wishes == ["quarantined by kim: grey pictures"]
    led.fleet.drain_nodes(["gpu-01"])
    led.fleet.resume_nodes(["gpu-01"])
    assert wanted(nodes, "gpu-01").quarantine == node.quarantine
    led.redis.delete(keys.node("gpu-01"))
    assert register(nodes).quarantine == node.quarantine
    led.fleet.drain_nodes(["gpu-01"], reason="a new card")
    [node] = led.fleet.clear_nodes(["gpu-01"], reason="a new cable", actor="lee")
    assert (node.quarantine, node.desired.reason) == (None, "a new card")
    [did] = Actions(led.redis).newest(1)
    assert (did.what, did.actor, did.reason) == ("node.clear", "lee", "a new cable")


def test_what_is_asked_of_a_node_shows_another_time_in_its_next_beat(led, nodes):
    assert wanted(nodes, "gpu-01")[3:] == ("",) * 4
    led.fleet.probe_nodes(["gpu-01"])
    first = wanted(nodes, "gpu-01").probe_asked
    led.fleet.probe_nodes(["gpu-01"])
    led.fleet.clear_nodes(["gpu-01"])
    told = wanted(nodes, "gpu-01")
    assert 0 < int(first) < int(told.probe_asked)
    assert int(told.clear_asked) > 0
    assert register(nodes)[3:] == told[3:]
    assert wanted(nodes, "gpu-02")[3:] == ("",) * 4
    with pytest.raises(InvalidJob, match="no node gpu-03"):
        led.fleet.probe_nodes(["gpu-01", "gpu-03"])
    assert wanted(nodes, "gpu-01") == told


def test_a_comfyui_is_restarted_by_a_worker_that_can_or_the_refusal_says_what_it_lacks(led, nodes):
    led.redis.hset(keys.node("gpu-02"), "can_restart", 1)
    led.redis.hset(keys.node("gpu-09"), "can_restart", 1)
    nodes.retire("gpu-09", worker=WORKER)
    for name, said, mend in (
        ("gpu-01", "its worker has no restart command", "--restart-command 'systemctl"),
        ("gpu-09", "no worker serves the node", "comfyfleet worker --comfyui URL --name gpu-09"),
    ):
        with pytest.raises(InvalidJob, match=said) as refusal:
            led.fleet.restart_nodes(["gpu-02", name])
        assert mend in refusal.value.advice
    assert wanted(nodes, "gpu-02").restart_asked == ""
    assert Actions(led.redis).newest(1) == []
    led.fleet.restart_nodes(["gpu-02"], reason="it hangs", actor="kim")
    told = wanted(nodes, "gpu-02")
    assert (int(told.restart_asked) > 0, told.restart_now_asked) == (True, "")
    led.fleet.restart_nodes("gpu-02", now=True)
    assert int(wanted(nodes, "gpu-02").restart_now_asked) > 0
    assert [one.what for one in Actions(led.redis).newest(2)] == ["node.restart"] * 2


def test_a_comfyui_is_restarted_over_http_alike(api, led, nodes):
    ops = api(scopes="operate")
    told = problem(ops.post("/v1/nodes/gpu-01/restart"), 422, "invalid-request")
    assert "no restart command" in told["errors"][0]["detail"]
    led.redis.hset(keys.node("gpu-01"), "can_restart", 1)
    assert ops.post("/v1/nodes/gpu-01/restart").json()["can_restart"] is True
    assert wanted(nodes, "gpu-01").restart_asked
    assert ops.post("/v1/nodes/restart", {"node": ["gpu-01"], "now": True}).ok
    assert wanted(nodes, "gpu-01").restart_now_asked
    problem(ops.post("/v1/nodes/gpu-01/restart", {"now": 1}), 422, "invalid-request")
    problem(ops.post("/v1/nodes/gpu-77/restart"), 404, "not-found")
    problem(api(scopes="submit,read").post("/v1/nodes/gpu-01/restart"), 403, "forbidden")


def test_nodes_are_doubted_and_pools_paused_over_http_by_who_operates_the_fleet(api, nodes):
    ops, shop = api(scopes="operate"), api(scopes="submit,read")
    told = problem(ops.post("/v1/nodes/gpu-01/quarantine", {}), 422, "invalid-request")
    assert told["errors"][0]["pointer"] == "#/reason"
    answer = ops.post("/v1/nodes/gpu-01/quarantine", {"reason": "grey pictures"}).json()
    assert answer["quarantine"]["actor"].startswith("key shop-")
    assert ops.post("/v1/nodes/gpu-01/probe").json()["state"] == NodeState.READY
    assert wanted(nodes, "gpu-01").probe_asked
    assert ops.post("/v1/nodes/gpu-01/clear").json().get("quarantine") is None
    [pool] = ops.post("/v1/pools/pause", {"pool": ["video"], "reason": "night"}).json()["pools"]
    assert pool["desired"]["reason"] == "night"
    told = ops.get("/v1/pools").json()["pools"]
    assert [pool.get("desired") for pool in told] == [None, pool["desired"]]
    assert ops.get("/v1/nodes").json()["nodes"][0]["pool_desired"] == pool["desired"]
    assert ops.post("/v1/pools/resume", {"pool": ["video"]}).ok
    assert wanted(nodes, "gpu-01").pool is None
    told = problem(ops.post("/v1/pools/drain", {"pool": ["vidoe"]}), 422, "invalid-request")
    assert told["errors"][0]["pointer"] == "#/pool"
    for path, body in (
        ("/v1/pools/pause", {"pool": ["video"]}),
        ("/v1/nodes/gpu-01/quarantine", {"reason": "mine"}),
        ("/v1/nodes/gpu-01/clear", None),
        ("/v1/nodes/probe", {"node": ["gpu-01"]}),
    ):
        problem(shop.post(path, body) if body else shop.post(path), 403, "forbidden")
    for verb in ("clear", "probe"):
        problem(ops.post(f"/v1/nodes/gpu-77/{verb}"), 404, "not-found")
