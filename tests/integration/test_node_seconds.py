"""What a worker has seen of a device is known to the next one: seconds of graph nodes, classes and loads."""

from __future__ import annotations

import pytest

from producer.contract.errors import InvalidJob
from producer.store import keys, limits
from producer.store.node_seconds import DeviceSeconds, NodeSeconds
from producer.store.node_store import NodeStore
from producer.store.rates import is_rate
from tests.graphs import rendering
from tests.integration.checks import check
from tests.integration.clocked_fleet import LEASE, SHAPE, ClockedFleet
from worker.attempt.fleet_rates import FleetRates
from worker.scheduling.node_times import kinds_of
from worker.scheduling.render_times import RenderKind, RenderTimes

DEVICE = "RTX 4090"
GRAPH = rendering("a.safetensors", seed=1, steps=20)
KIND = RenderKind(SHAPE, "t", kinds_of(GRAPH))
SECONDS = {"4": 9.0, "5": 0.02, "6": 0.5, "3": 6.0, "8": 1.0, "9": 0.4}


@pytest.fixture
def fleet(redis_client):
    return ClockedFleet(redis_client)


def worker(fleet) -> tuple[FleetRates, RenderTimes]:
    """Return what a worker that has just started knows, on the same device."""
    times = RenderTimes()
    kept = NodeSeconds(fleet.redis)
    return FleetRates(kept, times, node="gpu-01", device=lambda: DEVICE), times


def test_a_new_worker_knows_what_the_last_one_has_seen(fleet):
    fleet.render(17)
    first, _ = worker(fleet)
    first.on_rendered(KIND, GRAPH, SECONDS)
    first.publish()

    second, times = worker(fleet)
    second.learn(SHAPE)
    assert second.weights(KIND) == pytest.approx(SECONDS)
    like_none_before = kinds_of(rendering("a.safetensors", seed=1, steps=40))
    assert times.node_times.expected_s(like_none_before) == pytest.approx(22.92, abs=0.01)
    assert times.load_times.usual_s(["a.safetensors"], else_s=5) == 9
    assert times.expected_s(KIND) == pytest.approx(17, rel=0.1)
    assert 0 < fleet.redis.pttl(keys.seconds(DEVICE)) <= limits.RATES_MS


def test_what_has_not_changed_is_not_told_again(fleet):
    fleet.render(17)
    rates, _ = worker(fleet)
    for _ in range(3):
        rates.on_rendered(KIND, GRAPH, SECONDS)
        rates.publish()
        told = fleet.redis.hgetall(keys.seconds(DEVICE))
        fleet.redis.delete(keys.seconds(DEVICE))
    assert told == {}


def test_a_shape_without_rates_gets_no_key_that_nothing_lists(fleet):
    rates, _ = worker(fleet)
    rates.on_rendered(KIND, GRAPH, SECONDS)
    rates.publish()
    assert not fleet.redis.exists(keys.rates(SHAPE), keys.shape_seconds(SHAPE))


@pytest.mark.parametrize("torn", ["c5e747f8", "c5e747f8=x", "53:1 c5e747f8=3"])
def test_torn_seconds_are_nothing_to_go_by_and_are_found(led, torn):
    ClockedFleet(led.redis).render(10)
    key = keys.rates(SHAPE)
    led.redis.hset(keys.shape_seconds(SHAPE), DEVICE, torn)
    led.redis.expire(keys.shape_seconds(SHAPE), 60)
    kept = NodeSeconds(led.redis)
    assert kept.of_shape(SHAPE, node="gpu-01").usual_s == pytest.approx(10, rel=0.1)
    [finding] = check(led, repair=True)
    assert (finding.about, finding.mended) == (key, True)
    led.redis.hset(keys.seconds(DEVICE), mapping={"load A b": "soon", "step A": "20.5", "x": "1"})
    led.redis.expire(keys.seconds(DEVICE), 60)
    assert kept.of_device(DEVICE) == DeviceSeconds(steps={"A": 0.0205})


def test_whole_seconds_are_no_fault_and_rates_stay_what_the_version_before_knows(led):
    fleet = ClockedFleet(led.redis)
    fleet.render(10)
    rates, _ = worker(fleet)
    rates.on_rendered(KIND, GRAPH, SECONDS)
    rates.publish()
    assert check(led) == []
    assert all(map(is_rate, fleet.redis.hgetall(keys.rates(SHAPE)).values()))
    assert 0 < fleet.redis.pttl(keys.shape_seconds(SHAPE)) <= limits.RATES_MS
    assert fleet.rates.usual_s(SHAPE, node="of another device") == pytest.approx(10, rel=0.1)


def test_a_person_sees_how_long_models_take_to_load_on_a_node(led):
    fleet = ClockedFleet(led.redis)
    fleet.render(10)
    rates, _ = worker(fleet)
    rates.on_rendered(KIND, GRAPH, SECONDS)
    rates.publish()
    with pytest.raises(InvalidJob, match="has none yet"):
        led.fleet.node_times("gpu-01")
    fields = {"url": "http://127.0.0.1:1", "pool": "default", "device": DEVICE, "state": "ready"}
    NodeStore(led.redis, lease=LEASE).register("gpu-01", worker="w", fields=fields)
    times = led.fleet.node_times("gpu-01")
    assert times.loads == {"a.safetensors": {"CheckpointLoaderSimple": 9.0}}
    assert times.steps["KSampler"] == pytest.approx(0.3)
    with pytest.raises(InvalidJob, match="gpu-99"):
        led.fleet.node_times("gpu-99")
