"""`comfyfleet check`: a fleet that is well is left alone, and the command tells, mends and ends well."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from producer.checking.findings import Kind
from producer.contract.ids import new_job_id
from producer.contract.jobs import JobStatus
from producer.store import keys
from producer.store.packed_rows_audit import PackedRowsAudit
from tests.integration.checks import check
from tests.integration.default_queue import QUEUED

BUSY = str(new_job_id())  # a batch


# -- a fleet that is well


def test_jobs_of_every_status_are_well(led):
    led.of_batch("b1")
    led.of_batch("b1", status=JobStatus.HELD)
    led.running()
    led.delayed()
    led.failed()
    led.failed(dead=False)
    led.cancelled()
    led.fleet.retry(led.failed(led.of_batch("b1")).id)
    assert check(led) == []


def lead_lives(led, seconds):
    """Lead one job after the other through a life, some of them through two."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        led.failed(led.fleet.retry(led.failed(led.of_batch(BUSY)).id))
        led.cancelled(led.delayed(delay=timedelta(milliseconds=50)))
        led.cancelled(led.of_batch(BUSY, status=JobStatus.HELD))


def test_a_busy_fleet_is_never_misjudged(led):
    with ThreadPoolExecutor(2) as pool:
        lives = [pool.submit(lead_lives, led, 2) for _ in range(2)]
        while not all(life.done() for life in lives):
            assert check(led, repair=True) == []
        for life in lives:
            life.result()
    assert check(led) == []


def test_a_record_of_a_newer_version_is_read(led):
    job = led.queued()
    led.redis.hset(keys.job(job.id), mapping={"v": "7", "colour": "red"})
    assert check(led) == []


# -- a record that cannot be read


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda redis, key: redis.hset(key, "spec", "{"), "Expecting property name"),
        (lambda redis, key: redis.hset(key, "spec", "[]"), "'list' object has no"),
        (lambda redis, key: redis.hset(key, "status", "dreaming"), "'dreaming' is not a valid"),
        (lambda redis, key: redis.hdel(key, "queue"), "the field 'queue' is missing"),
        (lambda redis, key: redis.hdel(key, "priority"), "the field 'priority' is missing"),
        (lambda redis, key: redis.set(key, "text"), "no hash there"),
    ],
)
@pytest.mark.writes_keys
def test_an_unreadable_record_is_told_and_left_alone(led, break_it, said):
    job, other = led.queued(), led.queued()
    led.redis.zrem(QUEUED, other.id)
    break_it(led.redis, keys.job(job.id))
    findings = {finding.about: finding for finding in check(led, repair=True)}
    assert findings.keys() == {job.id, other.id}
    assert findings[other.id].mended
    assert findings[job.id].kind is Kind.UNREADABLE_RECORD
    assert said in findings[job.id].sentence
    assert findings[job.id].is_left
    assert led.redis.zscore(QUEUED, job.id)


# -- the command


def test_the_command_tells_mends_and_ends_well(led):
    job = led.queued()
    led.redis.zrem(QUEUED, job.id)
    told = led.command("check")
    assert told.returncode == 1
    assert f"missing_from_queue job {job.id} is queued, but in no index" in told.stdout
    assert "--repair" in told.stderr
    mended = led.command("check", "--repair", "--json")
    assert mended.returncode == 0
    finding, summary = map(json.loads, mended.stdout.splitlines())
    assert (finding["kind"], finding["about"], finding["mended"]) == (
        "missing_from_queue",
        job.id,
        True,
    )
    assert summary == {"jobs": 1, "findings": 1, "left": 0}
    well = led.command("check")
    assert (well.returncode, well.stdout) == (0, "")
    assert "1 job: nothing is wrong" in well.stderr


# -- what fails in the middle


def test_a_part_that_fails_is_named_and_the_others_are_checked_but_for_what_rests_on_it(
    led, monkeypatch
):
    job = led.queued(owner="shop")
    led.redis.zrem(QUEUED, job.id)
    led.redis.hset(keys.owner("shop"), "waiting", 9)
    led.redis.hset(keys.TOTALS, "odd", "x")

    def broken(*_):
        raise ZeroDivisionError("a flaw of this project")

    monkeypatch.setattr(PackedRowsAudit, "buckets", broken)
    found = {finding.about: finding for finding in check(led, repair=True)}
    assert found["packed rows"].kind is Kind.NOT_CHECKED
    assert "a flaw of this project" in found["packed rows"].sentence
    assert "packed rows could not be read" in found["counts of batches"].sentence
    assert found[job.id].mended
    assert found[f"{keys.TOTALS} odd"].mended


def test_a_record_with_an_odd_time_keeps_no_other_from_being_mended(led):
    odd, other = led.queued(), led.queued()
    led.redis.hset(keys.job(odd.id), "start_by_ms", "later")
    led.redis.zrem(keys.DELAYED, odd.id, other.id)
    check(led, repair=True)
    assert led.redis.zscore(keys.DELAYED, other.id)
