"""Totals of the fleet: counters that only rise, by pool, end, cause and stage."""

from __future__ import annotations

import math
from importlib.resources import files

import pytest

from producer.checking.findings import Kind
from producer.contract.jobs import JobError, JobStatus, Phase
from producer.contract.totals import STAGE_BOUNDS, AttemptTotals, PoolTotals
from producer.store import keys, limits
from producer.store.totals import Totals
from tests.integration.batch_feeding import GRAPH
from tests.integration.checks import assert_found_and_mended
from tests.integration.clocked_fleet import ClockedFleet


@pytest.fixture
def fleet(redis_client):
    return ClockedFleet(redis_client)


def of(fleet, pool="default"):
    return Totals(fleet.redis).read().get(pool, PoolTotals())


def test_a_job_that_succeeds_counts_with_the_seconds_of_its_stages(fleet):
    for seconds in (10, 10.001, 20_000):
        fleet.render(seconds)
    total = of(fleet)
    assert total.ended == {JobStatus.SUCCEEDED: {"": 3}}
    assert total.rendered_s == pytest.approx(20_020.001)
    assert total.stages["rendering"].within == {10: 1, 30: 1, math.inf: 1}
    assert total.stages["rendering"].seconds == pytest.approx(20_020.001)
    assert total.stages["queued"].within == {0.1: 3}
    assert (total.stages["preparing"].seconds, total.stages["preparing"].jobs) == (9, 3)
    assert total.stages["fetching"].seconds == 15
    assert "ahead" not in total.stages


def test_buckets_come_from_the_lowest_bound_on_and_the_bounds_are_told(fleet):
    for seconds in (100, 20_000, 0.2, 9, 1, 3):
        fleet.render(seconds)
    within = of(fleet).stages["rendering"].within
    assert list(within) == [0.25, 1, 5, 10, 120, math.inf]
    script = files("producer.store").joinpath("lua/_totals.lua").read_text("utf-8")
    told = ", ".join(f"{bound:g}" for bound in STAGE_BOUNDS)
    assert f"STAGE_BOUNDS = {{{told}}}" in script


def test_attempts_that_are_made_again_count_by_cause_and_what_they_cost(fleet):
    error = JobError(cause="node_unreachable", message="gone", node="gpu-01")
    hold = fleet.rendering()
    fleet.pass_s(4)
    fleet.store.requeue(hold.job_id, attempt=1, worker="w", error=error, charged=False)
    again = fleet.claimed_again(hold)
    fleet.store.note(again, phase=Phase.RENDERING)
    fleet.pass_s(6)
    fleet.store.fail(again, error, charged=True, dead=True)
    total = of(fleet)
    assert total.attempts == {"node_unreachable": AttemptTotals(charged=1, free=1)}
    assert total.ended == {JobStatus.FAILED: {"node_unreachable": 1}}
    assert (total.rendered_s, total.stages) == (10, {})


def test_rows_that_end_before_they_begin_count_as_jobs(led):
    batch = led.fleet.submit_many(GRAPH, [{}] * 5, pool="night")
    led.fleet.cancel_batch(batch.id)
    led.fleet.cancel(led.fleet.submit(GRAPH, pool="night").id)
    totals = led.fleet.totals()
    assert totals["night"].ended == {JobStatus.CANCELLED: {"cancelled": 6}}


def test_a_key_of_another_type_in_their_place_keeps_no_job_from_its_end(fleet):
    fleet.redis.set(keys.TOTALS, "torn")
    fleet.render(10)
    assert sum(map(int, (pair.split(":")[1] for pair in fleet.counts().values()))) == 1


def test_a_pool_for_which_there_is_no_room_is_left_out_and_the_others_go_on(fleet):
    fleet.render(10)
    some = {f"other{number} rendered_ms": 1 for number in range(limits.TOTALS_KEPT)}
    fleet.redis.hset(keys.TOTALS, mapping=some)
    names = set(fleet.redis.hkeys(keys.TOTALS))
    fleet.render(10)
    fleet.render(100)  # another bound than any before
    assert set(fleet.redis.hkeys(keys.TOTALS)) == names
    assert of(fleet).ended == {JobStatus.SUCCEEDED: {"": 3}}


@pytest.mark.parametrize(
    ("key", "counter", "text"),
    [
        (keys.TOTALS, "default ended succeeded", "x"),
        (keys.TOTALS, "default ended gone", "1"),
        (keys.TOTALS, "", "1"),
        (keys.TOTALS, "a b", "-1"),
        (keys.RECOVERED, "default requeued", "-1"),
        (keys.RECOVERED, "default", "1"),
    ],
)
def test_a_torn_counter_is_passed_over_and_found_by_a_check(led, key, counter, text):
    led.redis.hset(key, counter, text)
    assert all(not (total.ended or total.recovered) for total in led.fleet.totals().values())
    assert_found_and_mended(led, Kind.TORN_TOTAL, f"{key} {counter}")
