"""Jobs that an index lacks or should not list are found and mended; those that moved are left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.checking.findings import Kind
from producer.contract.ids import new_job_id
from producer.contract.jobs import JobStatus
from producer.store import keys
from producer.store.audit import Audit
from tests.integration.checks import assert_found_and_mended, check
from tests.integration.default_queue import ANY, QUEUED
from tests.integration.hand_led import LEASE, hold

#: Indexes that records leave by expiring, and how that is told.
EXPIRED = {
    keys.DEAD: Kind.EXPIRED_DEAD_LETTER,
    keys.jobs("shop"): Kind.EXPIRED_ENTRY,
    keys.ended("failed"): Kind.EXPIRED_ENTRY,
}

# -- jobs that no index lists


def test_a_running_job_without_a_lease_gets_one(led):
    job = led.running()
    led.redis.zrem(keys.LEASES, job.id)
    assert_found_and_mended(led, Kind.MISSING_LEASE, job.id)
    seconds, _ = led.redis.time()
    left_s = led.redis.zscore(keys.LEASES, job.id) / 1000 - seconds
    assert 0 < left_s <= LEASE.total_seconds() + 1  # a worker that lives has time to renew it


def test_a_lease_that_lapsed_long_ago_is_told(led):
    job = led.running()
    led.redis.zadd(keys.LEASES, {job.id: led.redis.time()[0] * 1000 - 90_000})
    [finding] = check(led, repair=True)
    assert (finding.kind, finding.about, finding.is_left) == (Kind.LAPSED_LEASE, job.id, True)
    assert "runs with a lease that ran out 9" in finding.sentence


def test_a_lease_that_lapsed_just_now_is_upkeeps_own_business(led):
    job = led.running()
    led.redis.zadd(keys.LEASES, {job.id: led.redis.time()[0] * 1000 - 5_000})
    assert check(led) == []


def test_a_queued_job_in_no_index_is_listed_again(led):
    job = led.queued()
    led.redis.zrem(QUEUED, job.id)
    led.redis.zrem(keys.DELAYED, job.id)
    assert_found_and_mended(led, Kind.MISSING_FROM_QUEUE, job.id)
    assert led.redis.zscore(QUEUED, job.id)
    assert led.redis.zscore(keys.DELAYED, job.id)


def test_a_delayed_job_in_no_index_is_listed_for_its_time(led):
    job = led.delayed()
    due = led.redis.zscore(keys.DELAYED, job.id)
    led.redis.zrem(keys.DELAYED, job.id)
    assert_found_and_mended(led, Kind.MISSING_DELAY, job.id)
    assert led.redis.zscore(keys.DELAYED, job.id) == due


def test_a_start_deadline_that_nobody_keeps_is_kept_again(led):
    job = led.queued()
    due = led.redis.zscore(keys.DELAYED, job.id)
    led.redis.zrem(keys.DELAYED, job.id)
    assert_found_and_mended(led, Kind.MISSING_START_DEADLINE, job.id)
    assert led.redis.zscore(keys.DELAYED, job.id) == due


def test_a_job_that_has_begun_once_needs_somebody_to_end_it_too(led):
    job = led.delayed(delay=timedelta(0))
    led.redis.zrem(keys.DELAYED, job.id)
    assert_found_and_mended(led, Kind.MISSING_START_DEADLINE, job.id)


@pytest.mark.parametrize("owner", ["", "shop"])
def test_a_job_that_its_owners_list_lacks_is_listed_again(led, owner):
    job = led.queued(owner=owner)
    led.redis.zrem(keys.jobs(owner), job.id)
    assert_found_and_mended(led, Kind.MISSING_FROM_LIST, job.id)
    assert led.redis.zscore(keys.jobs(owner), job.id) == 0


def test_a_job_that_stands_in_its_list_out_of_order_is_listed_again(led):
    job = led.queued()
    led.redis.zadd(keys.JOBS, {job.id: 7})
    assert_found_and_mended(led, Kind.MISSING_FROM_LIST, job.id)
    assert led.redis.zscore(keys.JOBS, job.id) == 0


def test_a_job_of_the_version_before_is_listed_by_a_check_that_mends(led):
    job = led.queued(owner="shop")
    led.redis.hdel(keys.job(job.id), "owner")
    led.redis.delete(keys.jobs("shop"), keys.OWNERS)
    assert_found_and_mended(led, Kind.MISSING_FROM_LIST, job.id)
    assert led.redis.hget(keys.job(job.id), "owner") == "shop"
    assert led.redis.zrange(keys.OWNERS, 0, -1) == ["shop"]
    assert led.redis.ttl(keys.jobs("shop")) >= led.redis.ttl(keys.job(job.id))


def test_a_failed_job_that_no_list_has_is_listed_for_the_time_of_its_end(led):
    job = led.failed()
    [(_, ended)] = led.redis.zrange(keys.ended("failed"), 0, -1, withscores=True)
    led.redis.zrem(keys.ended("failed"), job.id)
    assert_found_and_mended(led, Kind.MISSING_FROM_LIST, job.id)
    assert led.redis.zscore(keys.ended("failed"), job.id) == ended


# -- entries of jobs that are elsewhere or gone


@pytest.mark.parametrize(
    "index",
    [keys.LEASES, keys.DELAYED, keys.DEAD, QUEUED, keys.jobs("shop"), keys.ended("failed")],
    ids=lambda key: key.split(":")[1],
)
@pytest.mark.parametrize("where", ["ended", "gone"])
def test_a_stray_entry_is_removed(led, index, where):
    job_id = led.cancelled().id if where == "ended" else new_job_id()
    led.redis.zadd(index, {job_id: 1})
    if where == "gone" and index in EXPIRED:
        [finding] = check(led, repair=True)
        assert (finding.kind, finding.is_note, finding.mended) == (EXPIRED[index], True, True)
    else:
        assert_found_and_mended(led, Kind.STRAY_ENTRY, job_id)
    assert led.redis.zscore(index, job_id) is None


def test_a_job_in_the_index_of_another_queue_is_taken_out_of_that_one_only(led):
    job = led.queued()
    led.redis.zadd(keys.queued(ANY, 0), {job.id: 1})
    assert_found_and_mended(led, Kind.STRAY_ENTRY, job.id)
    assert led.redis.zscore(QUEUED, job.id)


@pytest.mark.writes_keys
def test_a_held_job_may_have_a_start_deadline(led):
    job = led.of_batch(None, status=JobStatus.HELD)
    led.redis.zadd(keys.DELAYED, {job.id: job.start_deadline.timestamp() * 1000})
    assert check(led) == []


def test_a_dead_letter_that_was_made_again_is_no_longer_one(led):
    job = led.failed()
    led.fleet.dead_letters.redrive(job.id)
    led.redis.zadd(keys.DEAD, {job.id: 1})
    assert_found_and_mended(led, Kind.STRAY_ENTRY, job.id)


# -- jobs that moved while the check was on its way


def test_a_job_that_moved_since_it_was_read_is_not_touched(led):
    job = led.queued()
    audit = Audit(led.redis)
    assert [page[0].job.status for page in audit.records()] == [JobStatus.QUEUED]
    led.running(job)
    times = {"lease": LEASE, "overdue": 2 * LEASE}
    assert audit.mend_jobs([job.id], mend=True, **times) == []
    assert led.redis.zscore(QUEUED, job.id) is None
    leases = next(index for index in audit.indexes() if index.kind == "leases")
    assert audit.mend_index(leases, [job.id], mend=True) == []
    led.store.end_cancelled(hold(job))
    assert audit.mend_jobs([job.id], mend=True, **times) == []
    assert audit.mend_index(leases, [job.id], mend=True) == []
    assert check(led) == []
