"""Records of ended jobs are packed, and whoever reads them meets no difference."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.checking.check import Check
from producer.checking.findings import Kind
from producer.contract.errors import InvalidJob, UnreadableRecord
from producer.contract.jobs import JobError, JobStatus
from producer.store import keys
from producer.store.sweeps import Sweeps
from tests.integration.hand_led import hold

ONE_KB = 1_000


def pack(led, *, after=timedelta(0)):
    """Pack what has ended and return how many records that were."""
    return Sweeps(led.redis, keep_ended=timedelta(days=7)).packing(after=after).pack()


@pytest.fixture
def led(led_with_s3):
    return led_with_s3


@pytest.fixture
def ended(led):
    return [led.succeeded(contents=(b"a", b"b")), led.failed(), led.cancelled()]


def test_a_packed_record_says_what_it_said(led, ended):
    before = [led.fleet.get(job.id) for job in ended]
    lives = [led.redis.pexpiretime(keys.job(job.id)) for job in ended]
    assert pack(led) == 3
    assert [led.fleet.get(job.id) for job in ended] == before
    assert [led.redis.pexpiretime(keys.job(job.id)) for job in ended] == lives
    assert not led.redis.exists(keys.UNPACKED)


def test_a_packed_record_needs_less_than_a_kilobyte(led):
    job = led.succeeded()
    plain = led.redis.memory_usage(keys.job(job.id))
    pack(led)
    assert led.redis.memory_usage(keys.job(job.id)) < min(ONE_KB, 0.6 * plain)


def test_what_has_just_ended_or_runs_stays_as_it_is(led, ended):
    running = led.running()
    assert pack(led, after=timedelta(hours=1)) == 0
    assert led.redis.hexists(keys.job(ended[0].id), "spec")
    assert pack(led) == 3
    assert led.redis.hexists(keys.job(running.id), "spec")


def test_a_packed_job_is_made_again_once(led):
    job = led.failed()
    pack(led)
    again = led.fleet.retry(job.id)
    assert led.fleet.retry(job.id) == again
    assert led.fleet.get(job.id).retried_as == again.id
    assert (again.params, again.status) == (job.params, JobStatus.QUEUED)


def test_a_packed_job_is_a_dead_letter_still(led):
    job = led.failed(cause="out_of_memory")
    pack(led)
    assert led.fleet.dead_letters.show(job.id).job == led.fleet.get(job.id)
    assert led.fleet.dead_letters.redrive(job.id).retry_of == job.id


def test_a_job_that_was_made_again_before_it_is_packed_says_so(led):
    job = led.failed()
    again = led.fleet.retry(job.id)
    assert pack(led) == 1
    assert led.fleet.get(job.id).retried_as == again.id
    with pytest.raises(InvalidJob, match="is queued"):
        led.fleet.retry(again.id)


def test_a_long_record_is_packed_too(led):
    job = led.running()
    led.store.fail(
        hold(job),
        JobError(cause="execution_error", message="\u00fc" * 3_900, node="gpu-01"),
        charged=True,
        dead=False,
    )
    before = led.fleet.get(job.id)
    pack(led)
    assert led.fleet.get(job.id) == before


@pytest.mark.parametrize("torn", ["", "1", "1~~~~", "2abc", "1" + "0" * 63])
def test_a_packed_record_that_is_torn_is_named_and_hides_no_other(torn, led, ended):
    pack(led)
    led.redis.hset(keys.job(ended[0].id), "p0", torn)
    with Check(led.settings) as check:
        findings = list(check.run())
    assert [(found.kind, found.about) for found in findings if not found.is_note] == [
        (Kind.UNREADABLE_RECORD, ended[0].id)
    ]
    with pytest.raises(UnreadableRecord, match=f"^the record of job {ended[0].id} cannot be read"):
        led.fleet.get(ended[0].id)
    assert led.fleet.get(ended[1].id).status is JobStatus.FAILED


def test_what_a_worker_of_an_older_version_ended_is_packed_after_a_repair(led, ended):
    led.redis.delete(keys.UNPACKED)
    with Check(led.settings, repair=True) as check:
        found = [finding for finding in check.run() if finding.kind is Kind.NOT_PACKED]
    assert {finding.about for finding in found} == {job.id for job in ended}
    assert all(finding.mended and finding.is_note for finding in found)
    assert pack(led) == 3


def test_a_record_that_makes_no_sense_is_left_as_evidence(led, ended):
    led.redis.hset(keys.job(ended[0].id), "spec", "{")
    assert pack(led) == 2
    assert led.redis.hget(keys.job(ended[0].id), "spec") == "{"


def test_an_owner_of_a_record_of_an_earlier_version_stays_known(led):
    job = led.cancelled(led.queued(owner="shop"))
    led.redis.hdel(keys.job(job.id), "owner")
    pack(led)
    assert led.redis.hget(keys.job(job.id), "owner") == "shop"
    with Check(led.settings) as check:
        assert list(check.run()) == []


def test_an_entry_without_a_record_to_pack_is_dropped(led, ended):
    led.redis.zadd(keys.UNPACKED, {"not-a-job": 1, "": 1})
    led.redis.set(keys.job("not-a-job"), "no hash", ex=60)
    led.redis.delete(keys.job(ended[0].id))
    assert pack(led) == 2
    assert not led.redis.exists(keys.UNPACKED)
    assert led.redis.get(keys.job("not-a-job")) == "no hash"
