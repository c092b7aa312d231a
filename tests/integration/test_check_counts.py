"""What a check finds in the counts of jobs' batches, and what it counts anew."""

from __future__ import annotations

from collections import Counter

from producer.checking.findings import Kind
from producer.checking.record_summary import RecordSummary
from producer.contract.ids import new_job_id
from producer.store import keys
from producer.store.audit import Audit
from tests.integration.checks import assert_found_and_mended, check


def test_a_wrong_count_is_set_by_recount(led):
    batch = new_job_id()
    led.failed(led.of_batch(batch))
    led.redis.hincrby(f"{keys.BATCH}{batch}", "failed", 4)
    led.redis.hset(f"{keys.BATCH}{batch}", "sealed", 1)
    assert_found_and_mended(led, Kind.WRONG_COUNT, batch)
    counts = led.redis.hgetall(f"{keys.BATCH}{batch}")
    assert (counts["failed"], counts["queued"], counts["sealed"]) == ("1", "0", "1")


def test_counts_that_are_gone_are_counted_anew(led):
    batch = new_job_id()
    for _ in range(3):
        led.of_batch(batch)
    led.redis.delete(f"{keys.BATCH}{batch}")
    assert_found_and_mended(led, Kind.WRONG_COUNT, batch)
    assert led.redis.hget(f"{keys.BATCH}{batch}", "queued") == "3"
    assert led.redis.pttl(f"{keys.BATCH}{batch}") > 0


def test_a_count_that_is_no_number_is_counted_anew(led):
    batch = new_job_id()
    led.of_batch(batch)
    led.redis.hset(f"{keys.BATCH}{batch}", "queued", "many")
    assert_found_and_mended(led, Kind.WRONG_COUNT, batch)


def test_a_retried_job_counts_as_its_retry(led):
    batch = new_job_id()
    job = led.failed(led.fleet.retry(led.failed(led.of_batch(batch)).id))
    assert check(led) == []
    led.redis.hincrby(f"{keys.BATCH}{batch}", "failed", 1)
    assert_found_and_mended(led, Kind.WRONG_COUNT, batch)
    assert led.redis.hget(f"{keys.BATCH}{batch}", "failed") == "1"
    assert led.fleet.get(job.id).batch == batch


def test_ended_jobs_whose_records_expired_still_count(led):
    long_ago = new_job_id(unix_ms=led.redis.time()[0] * 1000 - 30 * 86_400_000)
    gone = led.failed(led.of_batch(long_ago))
    led.redis.delete(keys.job(gone.id))
    led.redis.zrem(keys.DEAD, gone.id)
    led.redis.zrem(keys.ended("failed"), gone.id)
    assert check(led) == []
    led.redis.hincrby(f"{keys.BATCH}{long_ago}", "running", 1)
    assert_found_and_mended(led, Kind.WRONG_COUNT, long_ago)
    assert led.redis.hget(f"{keys.BATCH}{long_ago}", "failed") == "1"


def recount(audit, batch, summary, before):
    """Do what a check does after it has read the records."""
    return audit.recount(
        batch,
        before=before,
        ended=summary.ended(batch),
        others=summary.live(batch),
        is_complete=True,
        mend=True,
    )


def test_jobs_that_move_meanwhile_are_counted_as_they_are(led):
    batch, audit, summary = new_job_id(), Audit(led.redis), RecordSummary()
    led.failed(led.of_batch(batch))
    jobs = [led.of_batch(batch) for _ in range(3)]
    [before] = audit.batches().values()
    for reading in (reading for page in audit.records() for reading in page):
        summary.add(reading.job)
    led.running(jobs[0])
    led.failed(jobs[1])
    assert recount(audit, batch, summary, before) == []
    led.redis.hincrby(f"{keys.BATCH}{batch}", "running", 1)
    led.redis.hincrby(f"{keys.BATCH}{batch}", "failed", -1)
    wrong = {count.status: count.recounted for count in recount(audit, batch, summary, before)}
    assert wrong == {"running": 1, "failed": 2}


def test_a_batch_of_which_a_job_is_made_again_meanwhile_is_not_judged(led):
    batch, audit, summary = new_job_id(), Audit(led.redis), RecordSummary()
    job = led.failed(led.of_batch(batch))
    [before] = audit.batches().values()
    summary.add(job)
    led.cancelled(led.fleet.retry(job.id))
    assert recount(audit, batch, summary, before) == []
    assert check(led) == []


def test_a_record_that_cannot_be_read_still_counts(led):
    batch = new_job_id()
    job = led.of_batch(batch)
    led.redis.hset(keys.job(job.id), "spec", "of a newer version")
    assert [found.kind for found in check(led, repair=True)] == [Kind.UNREADABLE_RECORD]
    assert led.redis.hget(f"{keys.BATCH}{batch}", "queued") == "1"


def test_a_batch_that_grows_meanwhile_is_not_judged(led):
    batch = new_job_id()
    known = led.of_batch(batch)
    audit = Audit(led.redis)
    [counted] = audit.batches().values()
    led.of_batch(batch)
    options = {"ended": Counter(), "is_complete": True, "mend": True}
    assert audit.recount(batch, before=counted, others=[known.id], **options) == []
    assert led.redis.hget(f"{keys.BATCH}{batch}", "queued") == "2"
