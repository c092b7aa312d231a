"""Rows that ended with their batch before they had a record: listed by their end, and made again like any other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.checking.findings import Kind
from producer.contract.ids import row_id
from producer.contract.jobs import JobStatus
from producer.contract.outcomes import BulkAction
from producer.store import keys
from producer.store.job_lists import ended_with_batch, forget_expired
from producer.store.scripts import Scripts
from tests.integration.batch_feeding import GRAPH, feed, seeds
from tests.integration.checks import assert_found_and_mended, check
from tests.integration.ended_rows.rig import pack
from tests.integration.hand_led import hold


@pytest.fixture
def batch(led):
    """A batch of 230 rows that was cancelled when two hundred were fed, one of the others being cancelled before."""
    batch = led.fleet.submit_many(GRAPH, seeds(230), owner="q", metadata={"of": "night"}).id
    feed(led.fleet)
    led.fleet.cancel(row_id(batch, 205))
    led.fleet.cancel_batch(batch)
    counts = led.fleet.batch(batch).counts
    assert (counts.cancelled, counts.waiting) == (230, 0)
    return batch


def pages(led, filter_, limit, between=lambda: None):
    found = []
    page = led.fleet.jobs(filter_, limit=limit)
    found += [job.id for job in page.jobs]
    while page.cursor:
        between()
        page = led.fleet.jobs(filter_, page.cursor, limit)
        found += [job.id for job in page.jobs]
    return found


def test_rows_without_a_record_are_made_again_like_others_and_count_so(led, batch):
    first, last = (led.fleet.get(row_id(batch, row)) for row in (210, 230))
    new = led.fleet.retry(last.id)
    assert led.fleet.retry(last.id).id == new.id
    assert (new.retry_of, new.params, new.metadata) == (last.id, last.params, last.metadata)
    old = led.fleet.get(last.id)
    assert old.retried_as == new.id
    assert old.model_copy(update={"retried_as": None, "waiting_for": last.waiting_for}) == last
    assert check(led) == []
    led.store.commit(hold(led.running(new)), artifacts=[], values={})
    led.failed(led.fleet.retry(first.id))
    counts = led.fleet.batch(batch).counts
    assert (counts.succeeded, counts.failed, counts.cancelled) == (1, 1, 228)
    pack(led)
    assert led.fleet.get(last.id).retried_as == new.id
    assert dict(led.fleet.batch_jobs(batch))[230].status is JobStatus.SUCCEEDED
    assert check(led) == []


def test_a_night_that_was_cancelled_is_taken_up_by_one_action(led, batch):
    dry = led.fleet.act(BulkAction.RETRY, f"batch:{batch} status:cancelled", dry_run=True)
    done = led.fleet.act(BulkAction.RETRY, f"batch:{batch} status:cancelled")
    assert (dry.matched, done.matched, done.done) == (230, 230, 230)
    assert led.fleet.batch(batch).counts.queued == 230
    assert check(led) == []


@pytest.mark.parametrize("limit", [7, 100, 1_000])
def test_rows_without_a_record_are_listed_by_their_end_and_pages_stay_whole(led, batch, limit):
    every = {row_id(batch, row) for row in range(1, 231)}
    single = led.cancelled(led.queued(owner="q")).id
    later = iter(range(201, 400))

    def make_again():
        if (row := next(later)) <= 230:
            led.fleet.retry(row_id(batch, row))

    for filter_ in ("status:cancelled", "status:cancelled owner:q"):
        found = pages(led, filter_, limit, make_again)
        assert sorted(found) == sorted({*every, single})
    ended = [led.fleet.get(job_id).ended_at for job_id in pages(led, "status:cancelled", limit)]
    assert ended == sorted(ended, reverse=True)
    assert pages(led, "status:cancelled owner:other", limit) == []
    assert pages(led, "status:expired", limit) == []
    assert pages(led, "status:cancelled ended:<2026-01-01", limit) == []


def test_their_list_keeps_them_as_long_as_their_values_and_a_check_knows_it(led, batch):
    listed = ended_with_batch("cancelled")
    at = led.redis.zscore(listed, batch)
    assert led.redis.ttl(listed) > timedelta(days=6).total_seconds()
    assert forget_expired(led.redis, Scripts(led.redis)) == 0
    led.redis.delete(listed)
    assert_found_and_mended(led, Kind.MISSING_FROM_LIST, batch)
    assert led.redis.zscore(listed, batch) == at
    led.redis.delete(keys.rows(batch))
    assert len(pages(led, "status:cancelled", 1_000)) == 201
    forget_expired(led.redis, Scripts(led.redis))
    assert not led.redis.exists(listed)
    assert check(led) == []
