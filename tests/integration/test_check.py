"""`comfyfleet check`: what was broken by hand is found, named and mended, and nothing else is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Timer

import pytest

from producer.checking.findings import Kind
from producer.contract.catalog import Catalog, GraphNodeClass
from producer.contract.ids import new_job_id
from producer.contract.jobs import JobStatus
from producer.contract.queues import Needs, node_queue
from producer.store import keys
from producer.store.audit import Audit
from producer.store.node_store import NodeStore
from tests.integration.checks import assert_found_and_mended, check
from tests.integration.hand_led import LEASE, hold

ANY = "comfyfleet.pool.default.any"
QUEUED = keys.queued(ANY, 3)
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


def test_a_job_that_was_started_once_needs_no_start_deadline(led):
    job = led.delayed(delay=timedelta(0))
    led.redis.zrem(keys.DELAYED, job.id)
    assert check(led) == []


# -- entries of jobs that are elsewhere or gone


@pytest.mark.parametrize(
    "index", [keys.LEASES, keys.DELAYED, keys.DEAD, QUEUED], ids=lambda key: key.split(":")[1]
)
@pytest.mark.parametrize("where", ["ended", "gone"])
def test_a_stray_entry_is_removed(led, index, where):
    job_id = led.cancelled().id if where == "ended" else new_job_id()
    led.redis.zadd(index, {job_id: 1})
    if (index, where) == (keys.DEAD, "gone"):
        [finding] = check(led, repair=True)
        assert (finding.kind, finding.is_note, finding.mended) == (
            Kind.EXPIRED_DEAD_LETTER,
            True,
            True,
        )
    else:
        assert_found_and_mended(led, Kind.STRAY_ENTRY, job_id)
    assert led.redis.zscore(index, job_id) is None


def test_a_job_in_the_index_of_another_queue_is_taken_out_of_that_one_only(led):
    job = led.queued()
    led.redis.zadd(keys.queued(ANY, 0), {job.id: 1})
    assert_found_and_mended(led, Kind.STRAY_ENTRY, job.id)
    assert led.redis.zscore(QUEUED, job.id)


def test_a_held_job_may_have_a_start_deadline(led):
    job = led.of_batch(None, status=JobStatus.HELD)
    led.redis.zadd(keys.DELAYED, {job.id: job.start_deadline.timestamp() * 1000})
    assert check(led) == []


def test_a_dead_letter_that_was_made_again_is_no_longer_one(led):
    job = led.failed()
    led.fleet.redrive(job.id)
    led.redis.zadd(keys.DEAD, {job.id: 1})
    assert_found_and_mended(led, Kind.STRAY_ENTRY, job.id)


# -- counts


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
    assert check(led) == []
    led.redis.hincrby(f"{keys.BATCH}{long_ago}", "running", 1)
    assert_found_and_mended(led, Kind.WRONG_COUNT, long_ago)
    assert led.redis.hget(f"{keys.BATCH}{long_ago}", "failed") == "1"


def test_a_batch_that_grows_meanwhile_is_not_judged(led):
    batch = new_job_id()
    known = led.of_batch(batch)
    audit = Audit(led.redis)
    [counted] = audit.batches().values()
    led.of_batch(batch)
    before = counted.counts.total()
    wrong = audit.recount(batch, [known.id], sum_before=before, is_complete=True, mend=True)
    assert wrong == []
    assert led.redis.hget(f"{keys.BATCH}{batch}", "queued") == "2"


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


# -- queues


def register(led, name="gpu-01", *, state="ready"):
    classes = ("EmptyImage", "ComfyFleetSleep", "SaveImage")
    catalog = Catalog({name: GraphNodeClass(is_output=name == "SaveImage") for name in classes})
    NodeStore(led.redis, lease=LEASE).register(
        name,
        worker=f"{name}:w",
        fields={
            "pool": "default",
            "url": "http://127.0.0.1:1",
            "state": state,
            "host": "here",
            "catalog": catalog.to_text(),
            "catalog_sha": catalog.sha,
        },
    )


SOON = {"stuck_after": timedelta(0), "look_again": timedelta(seconds=0.5)}


def test_a_job_that_an_idle_node_leaves_lying_is_told(led):
    register(led)
    first, _ = led.queued(), led.queued()
    [finding] = check(led, **SOON)
    assert (finding.kind, finding.about) == (Kind.NOT_STARTED, ANY)
    assert f"job {first.id} and 1 more wait" in finding.sentence
    assert "while gpu-01 could serve it and does nothing" in finding.sentence


def test_a_job_that_waits_for_a_busy_sick_or_other_node_is_not_stuck(led):
    register(led)
    register(led, "gpu-02", state="quarantined")
    led.running(node="gpu-01")
    led.queued()
    led.queued(pin="gpu-02")
    assert check(led, **SOON) == []


def test_a_job_that_has_waited_for_a_moment_is_not_stuck(led):
    register(led)
    led.queued()
    assert check(led, look_again=timedelta(seconds=0.5)) == []


@pytest.mark.parametrize("what", ["running", "cancelled"])
def test_a_job_that_is_started_or_cancelled_while_we_watch_is_not_stuck(led, what):
    register(led)
    job = led.queued()
    somebody = Timer(0.5, getattr(led, what), [job])
    somebody.start()
    assert check(led, stuck_after=timedelta(0)) == []
    somebody.join()


def test_a_queue_that_no_worker_hears_of_is_told(led):
    job = led.queued()
    led.redis.hdel(keys.QUEUES, ANY)
    [finding] = check(led)
    assert (finding.kind, finding.about, finding.is_left) == (Kind.UNKNOWN_QUEUE, ANY, True)
    assert job.id in finding.sentence


def test_a_queue_nobody_uses_is_but_a_note(led):
    register(led)
    led.cancelled()
    led.redis.hset(keys.QUEUES, node_queue("gpu-99"), Needs.of("default").to_json())
    [finding] = check(led, repair=True)
    assert (finding.kind, finding.is_note, finding.is_left) == (Kind.UNUSED_QUEUE, True, False)


# -- the command


def command(led, *args):
    """Run the command in another process, with the settings of *led*."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("comfyfleet")), "check", *args],
        env={"COMFYFLEET_REDIS_URL": led.settings.redis_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


def test_the_command_tells_mends_and_ends_well(led):
    job = led.queued()
    led.redis.zrem(QUEUED, job.id)
    told = command(led)
    assert told.returncode == 1
    assert f"missing_from_queue job {job.id} is queued, but in no index" in told.stdout
    assert "--repair" in told.stderr
    mended = command(led, "--repair", "--json")
    assert mended.returncode == 0
    finding, summary = map(json.loads, mended.stdout.splitlines())
    assert (finding["kind"], finding["about"], finding["mended"]) == (
        "missing_from_queue",
        job.id,
        True,
    )
    assert summary == {"jobs": 1, "findings": 1, "left": 0}
    well = command(led)
    assert (well.returncode, well.stdout) == (0, "")
    assert "1 jobs: nothing is wrong" in well.stderr
