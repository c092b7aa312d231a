"""Rates: how long renders of one shape take, counted in the script that ends a job."""

from __future__ import annotations

import pytest

from producer.checking.findings import Kind
from producer.store import keys, limits
from producer.store.attempts import Hold
from producer.store.rates import median_s
from tests.integration.checks import assert_found_and_mended
from tests.integration.clocked_fleet import LEASE, SHAPE, ClockedFleet


@pytest.fixture
def fleet(redis_client):
    return ClockedFleet(redis_client)


def test_a_render_is_counted_by_its_shape_and_device_without_preparing_and_storing(fleet):
    fleet.runs_on("gpu-02", "RTX 3060")
    for seconds in (10, 10, 11, 60):
        fleet.render(seconds)
    fleet.render(40, node="gpu-02")
    assert fleet.rates.usual_s(SHAPE, node="gpu-01") == pytest.approx(10, rel=0.1)
    assert fleet.rates.usual_s(SHAPE, node="gpu-02") == pytest.approx(40, rel=0.1)
    assert fleet.rates.usual_s(SHAPE, node="of another device") == pytest.approx(11, rel=0.1)
    assert fleet.rates.usual_s("f" * 16, node="gpu-01") is None
    assert fleet.redis.zrange(keys.SHAPES, 0, -1) == [SHAPE]


def test_the_same_commit_again_and_ends_without_success_count_nothing(fleet):
    hold = fleet.rendering()
    fleet.pass_s(10)
    fleet.stored(hold)
    counted = fleet.counts()
    fleet.store.commit(hold, artifacts=[], values={})  # its answer was lost
    fleet.store.end_cancelled(fleet.rendering())
    fleet.stored(fleet.rendering(shape=""))
    assert fleet.counts() == counted == {"RTX 4090": "53:1"}


def test_a_job_without_a_shape_is_counted_by_the_one_that_its_worker_found(fleet):
    hold = fleet.rendering(shape="")
    fleet.pass_s(2)
    fleet.stored(hold, shape="a" * 16)
    assert fleet.rates.usual_s("a" * 16, node="gpu-01") == pytest.approx(2, rel=0.1)
    assert fleet.store.get(hold.job_id).shape == "a" * 16


def test_what_another_worker_took_back_is_not_counted_as_nobody_saw_it_end(fleet):
    hold = fleet.rendering()
    fleet.sweeps.take_back("gpu-01", worker="w2", lease=LEASE)
    fleet.pass_s(500)
    fleet.stored(Hold(hold.job_id, 1, "w2"))
    assert fleet.counts() == {}


def test_a_node_that_became_slower_is_known_as_such_after_some_renders(fleet):
    key = keys.rates(SHAPE)
    fleet.redis.hset(key, "RTX 4090", f"53:{limits.RENDERS_KEPT}")
    for _ in range(40):
        fleet.render(30)
    assert fleet.rates.usual_s(SHAPE, node="gpu-01") == pytest.approx(30, rel=0.1)
    assert fleet.redis.pttl(key) == pytest.approx(limits.RATES_MS, rel=0.01)


def test_rates_stay_small_whatever_is_rendered(fleet):
    for number in range(limits.DEVICES_KEPT + 5):
        fleet.runs_on("gpu-01", f"device {number} " + "x" * 30)
        for octave in range(3):
            fleet.render(2**octave)
    assert len(fleet.counts()) == limits.DEVICES_KEPT
    assert fleet.redis.memory_usage(keys.rates(SHAPE)) < 3_000


def test_the_shape_that_was_listed_first_makes_room_for_a_new_one(fleet):
    fleet.redis.zadd(
        keys.SHAPES, {f"{number:016x}": number for number in range(limits.SHAPES_KEPT)}
    )
    fleet.redis.hset(keys.rates(f"{0:016x}"), "RTX 4090", "53:1")
    fleet.render(10)
    assert fleet.redis.zcard(keys.SHAPES) == limits.SHAPES_KEPT
    assert fleet.counts(f"{0:016x}") == {}
    assert fleet.counts()


@pytest.mark.parametrize("torn", ["", "x", "53:", ":1", "53:1,54:2", "-1:-1", "53:999999999999"])
def test_torn_rates_are_nothing_to_go_by_and_are_written_anew(fleet, torn):
    fleet.redis.hset(keys.rates(SHAPE), "RTX 4090", torn)
    fleet.render(10)
    assert fleet.rates.usual_s(SHAPE, node="gpu-01") == pytest.approx(10, rel=0.5)


def test_a_key_of_another_kind_in_its_place_ends_no_commit(fleet):
    fleet.redis.set(keys.rates(SHAPE), "torn")
    fleet.render(10)
    assert fleet.counts() == {"RTX 4090": "53:1"}


def test_the_median_is_that_of_all_counts():
    assert median_s([]) is None
    assert median_s(["53:0"]) is None
    assert median_s(["40:1 53:3", "40:1"]) == pytest.approx(10, rel=0.1)
    assert median_s(["40:5 53:3"]) == pytest.approx(1.1, rel=0.1)


@pytest.mark.parametrize("torn", ["", "x", "53:1 x", "53:1,54:2"])
def test_a_check_finds_and_deletes_torn_rates(led, torn):
    led.redis.hset(keys.rates(SHAPE), mapping={"RTX 4090": "53:1", "RTX 3060": torn})
    assert_found_and_mended(led, Kind.TORN_RATES, keys.rates(SHAPE))
    led.redis.set(keys.rates(SHAPE), "no hash")
    assert_found_and_mended(led, Kind.TORN_RATES, keys.rates(SHAPE))
    assert not led.redis.exists(keys.rates(SHAPE))


def test_a_check_lists_rates_again_and_gives_them_an_end(led):
    led.redis.hset(keys.rates(SHAPE), "RTX 4090", "53:1")
    assert_found_and_mended(led, Kind.MISSING_FROM_LIST, keys.rates(SHAPE))
    assert led.redis.pttl(keys.rates(SHAPE)) > 0
    assert led.redis.zscore(keys.SHAPES, SHAPE)
