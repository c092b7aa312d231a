"""What a check finds in batches, and what it mends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.checking.findings import Kind
from producer.contract.ids import row_id
from producer.contract.jobs import JobStatus
from producer.store import keys
from tests.integration.batch_feeding import GRAPH, feed, seeds, take
from tests.integration.checks import assert_found_and_mended, check


@pytest.fixture
def batch(led):
    """A batch of which some rows are fed, one was cancelled alone, and one runs."""
    batch = led.fleet.submit_many(GRAPH, seeds(330)).id
    feed(led.fleet)
    led.fleet.cancel(row_id(batch, 290))
    led.running(led.fleet.get(row_id(batch, 1)))
    return batch


def test_a_batch_that_is_well_gives_nothing_to_mend(led, batch):
    assert check(led) == []
    led.fleet.hold_batch(batch)
    assert check(led) == []
    led.fleet.cancel_batch(batch)
    assert check(led) == []


def test_a_batch_that_upkeep_does_not_know_is_found(led, batch):
    led.redis.delete(keys.FEEDING)
    assert_found_and_mended(led, Kind.NOT_FED, batch)


def test_a_wrong_count_of_waiting_rows_is_set_right(led, batch):
    led.redis.hincrby(keys.batch(batch), "waiting", 3)
    led.redis.incrby(keys.WAITING, 3)
    assert_found_and_mended(led, Kind.WRONG_COUNT, batch)
    assert led.redis.get(keys.WAITING) == "129"


def test_a_wrong_sum_of_waiting_rows_is_set_right(led, batch):
    assert led.fleet.batch(batch).counts.waiting == 129
    led.redis.delete(keys.WAITING)
    assert_found_and_mended(led, Kind.WRONG_COUNT, keys.WAITING)


def test_a_live_job_that_its_batch_has_forgotten_is_listed_again(led, batch):
    led.redis.zrem(keys.live(batch), row_id(batch, 7))
    assert_found_and_mended(led, Kind.MISSING_FROM_BATCH, row_id(batch, 7))
    led.fleet.cancel_batch(batch)
    assert led.fleet.get(row_id(batch, 7)).status is JobStatus.CANCELLED


def test_a_job_that_has_ended_is_no_live_one_of_its_batch(led, batch):
    led.fleet.cancel(row_id(batch, 9))
    led.redis.zadd(keys.live(batch), {row_id(batch, 9): 1})
    assert_found_and_mended(led, Kind.STRAY_ENTRY, row_id(batch, 9))


def test_a_batch_whose_counts_are_mended_ends_with_its_last_job(led):
    batch = led.fleet.submit_many(GRAPH, seeds(2), start_within=timedelta(days=300)).id
    feed(led.fleet)
    life = led.redis.ttl(keys.batch(batch))
    led.redis.hincrby(keys.batch(batch), "running", 1)
    take(led, 2)
    assert_found_and_mended(led, Kind.WRONG_COUNT, batch)
    assert led.fleet.batch(batch).done
    assert led.redis.ttl(keys.batch(batch)) >= life - 60


@pytest.mark.parametrize("jobs_ended", [True, False])
def test_an_end_that_its_jobs_deny_is_set_right(led, jobs_ended):
    batch = led.fleet.submit_many(GRAPH, seeds(2)).id
    feed(led.fleet)
    if jobs_ended:
        take(led, 2)
        led.redis.hdel(keys.batch(batch), "ended_ms")
    else:
        led.redis.hset(keys.batch(batch), "ended_ms", 1)
    assert_found_and_mended(led, Kind.WRONG_END, batch)
    assert led.fleet.batch(batch).done == jobs_ended


def test_rows_that_redis_has_lost_are_told_of(led, batch):
    led.redis.hdel(keys.rows(batch), 3)
    [finding] = check(led, repair=True)
    assert (finding.kind, finding.about, finding.is_left) == (Kind.LOST_ROWS, batch, True)


def test_a_batch_that_its_list_lacks_is_listed_again_before_anything_is_counted_by_it(led):
    batch = led.fleet.submit_many(GRAPH, seeds(120), owner="q", name="night").id
    led.fleet.hold_batch(batch)
    at = led.redis.zscore(keys.BATCHES, batch)
    led.redis.zrem(keys.BATCHES, batch)
    assert_found_and_mended(led, Kind.MISSING_FROM_LIST, batch)
    assert led.redis.zscore(keys.BATCHES, batch) == at
    assert (led.redis.get(keys.WAITING), led.fleet.owner("q").waiting) == ("120", 120)
    assert len(led.fleet.jobs("batch:night").jobs) == 50
    assert led.redis.ttl(keys.BATCHES) > 0
