"""Results of batches in the bucket: written once their rows have ended, and read when nothing else is left."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta

import pytest
import redis

from producer.checking.check import Check
from producer.checking.findings import Kind
from producer.contract.errors import BatchNotFound, JobNotFound, StorageError
from producer.contract.result_lines import line_of
from producer.storage.batch_results import BatchResults
from producer.storage.object_keys import results_key
from producer.store import keys, limits
from producer.store.scripts import Scripts
from producer.store.sweeps import Sweeps
from producer.upkeep.results_writer import ResultsWriter
from tests.integration.batch_feeding import GRAPH, seeds
from tests.integration.checks import check
from tests.integration.ended_rows.rig import HOURS_AHEAD, pack, submitted
from tests.integration.hand_led import hold
from tests.integration.test_upkeep import KEEP


@pytest.fixture
def led(led_with_s3, monkeypatch):
    """Jobs on an empty Redis and an empty bucket, and results of a hundred rows an object."""
    monkeypatch.setattr(limits, "RESULT_ROWS", 100)
    return led_with_s3


def files_of(led, *, hours=3):
    """Return what upkeep asks of the store so many hours from now."""
    scripts = Scripts(led.redis, clock_lua=HOURS_AHEAD.format(hours=hours))
    sweeps = Sweeps(led.redis, keep_ended=KEEP, scripts=scripts)
    return sweeps.result_files(led.store, after=timedelta(hours=1))


def write(led, *, hours=3, settings=None):
    """Do what upkeep does for results, and return how many files it writes."""
    return ResultsWriter(files_of(led, hours=hours), BatchResults(settings or led.settings)).write()


def expire(led, batch):
    """Do what time does to a batch and its jobs."""
    of_jobs = led.redis.scan_iter("comfyfleet:job:*")
    led.redis.delete(keys.batch(batch), keys.ended_rows(batch), keys.rows(batch), *of_jobs)


def lines(led, batch, number=1):
    key = results_key("renders", batch=batch, number=number)
    body = led.s3.get_object(Bucket=led.settings.s3_bucket, Key=key)["Body"].read()
    return [json.loads(line) for line in gzip.decompress(body).splitlines()]


def test_results_outlive_the_batch(led):
    batch, jobs = submitted(led, 120)
    led.succeeded(jobs[0], contents=(b"one",))
    led.failed(jobs[1])
    led.fleet.cancel_batch(batch)
    before = dict(led.fleet.batch_jobs(batch))
    assert write(led, hours=0) == 0
    assert pack(led) == 120
    assert write(led) == 2
    assert write(led, hours=30) == 0
    assert led.redis.zcard(keys.RESULTS) == 0
    expire(led, batch)
    with pytest.raises(BatchNotFound):
        led.fleet.batch(batch)
    assert list(led.fleet.batch_jobs(batch)) == list(before.items())
    results = [line_of(row, job) for row, job in before.items()]
    assert list(led.fleet.batch_results(batch)) == results
    assert list(led.fleet.batch_results(batch, statuses=["failed"])) == [results[1]]
    assert [row for row, _ in led.fleet.batch_jobs(batch, statuses=["failed"])] == [2]
    assert [line["row"] for line in lines(led, batch, 2)] == list(range(101, 121))


def test_a_batch_that_never_was_has_no_results(led):
    with pytest.raises(BatchNotFound):
        list(led.fleet.batch_jobs("01890000-0000-7000-8000-000000000000"))


def test_rows_that_never_reached_the_queue_have_results_too(led):
    batch = led.fleet.submit_many(GRAPH, [{"2.nonce": "x"}, *seeds(3)], skip_invalid=True).id
    led.fleet.cancel_batch(batch)
    assert write(led) == 1
    assert [(line["row"], line["status"]) for line in lines(led, batch)] == [
        (row, "cancelled") for row in (2, 3, 4)
    ]


def test_a_file_is_written_as_soon_as_all_of_its_rows_have_ended(led):
    batch, jobs = submitted(led, 130)
    for job in jobs[:99]:
        led.store.cancel(job.id)
    assert pack(led) == 99
    assert write(led) == 0
    led.succeeded(jobs[99])
    led.store.cancel(jobs[110].id)
    assert pack(led, hours=4) == 2
    assert write(led, hours=5) == 1
    assert len(lines(led, batch)) == 100


def test_nothing_is_forgotten_while_the_bucket_is_away(led):
    batch, jobs = submitted(led, 2)
    for job in jobs:
        led.failed(job)
    assert pack(led) == 2
    away = led.settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"})
    for hours in (3, 4):
        assert write(led, hours=hours, settings=away) == 0
    assert write(led, hours=6) == 1
    assert [line["status"] for line in lines(led, batch)] == ["failed", "failed"]


def test_a_row_that_is_made_again_is_written_again_once_that_has_ended(led):
    batch, jobs = submitted(led, 3)
    for job in jobs:
        led.failed(job)
    assert pack(led) == 3
    assert write(led) == 1
    first = led.fleet.retry(jobs[1].id)
    assert write(led) == 0
    second = led.fleet.retry(led.failed(first).id)
    assert write(led, hours=5) == 0
    led.succeeded(second)
    assert write(led, hours=7) == 1
    assert [line["id"] for line in lines(led, batch)] == [jobs[0].id, second.id, jobs[2].id]
    assert write(led, hours=9) == 0
    # Of the second retry of another row nothing of this one is lost, though its records have expired.
    led.redis.delete(keys.job(first.id), keys.job(second.id))
    led.succeeded(led.fleet.retry(jobs[2].id))
    assert write(led, hours=11) == 1
    assert [line["status"] for line in lines(led, batch)] == ["failed", "succeeded", "succeeded"]


def test_a_row_that_is_made_again_while_its_file_is_written_is_written_again(led):
    batch, jobs = submitted(led, 2)
    for job in jobs:
        led.failed(job)
    pack(led)
    made = []

    class Interrupted(BatchResults):
        def put_results(self, *args):
            super().put_results(*args)
            if not made:
                made.append(led.fleet.retry(jobs[0].id))

    assert ResultsWriter(files_of(led), Interrupted(led.settings)).write() == 1
    led.succeeded(made[0])
    assert write(led, hours=5) == 1
    assert lines(led, batch)[0]["status"] == "succeeded"


def test_rows_that_are_packed_while_a_batch_is_looked_at_bring_another_look(led):
    batch, jobs = submitted(led, 2)
    led.failed(jobs[0])
    assert pack(led) == 1
    files = files_of(led)
    [(_, mark)] = files.due()
    assert files.next_file(batch) is None
    led.failed(jobs[1])
    assert pack(led) == 1
    files.leave(batch, mark)
    assert write(led) == 1
    assert len(lines(led, batch)) == 2


def test_a_batch_that_ends_while_it_is_looked_at_brings_another_look(led):
    """A row is made again, and that ends, between the look of whoever writes results and its last word."""
    batch, jobs = submitted(led, 2)
    for job in jobs:
        led.failed(job)
    assert pack(led) == 2
    files = files_of(led)
    [(_, mark)] = files.due()
    again = led.fleet.retry(jobs[0].id)
    assert files.next_file(batch) is None
    led.succeeded(again)
    files.leave(batch, mark)
    assert write(led) == 1
    assert [line["id"] for line in lines(led, batch)] == [again.id, jobs[1].id]
    assert check(led) == []


def test_nothing_of_a_batch_is_left_when_its_life_is_over(led):
    batch, jobs = submitted(led, 4, idempotency_key="night")
    led.succeeded(jobs[0])
    led.failed(jobs[1])
    retried = led.failed(led.fleet.retry(led.failed(jobs[2]).id))
    led.fleet.cancel_batch(batch)
    assert pack(led) == 4
    assert write(led) == 1
    ends = led.redis.pexpiretime(keys.batch(batch))
    mortal = [key for key in led.redis.scan_iter() if 0 < led.redis.pexpiretime(key) <= ends]
    led.redis.delete(*mortal)  # what time does to them
    led.fleet.dead_letters.prune()
    Sweeps(led.redis, keep_ended=KEEP).forget_expired()
    left = {key for key in led.redis.scan_iter() if led.redis.type(key) not in {"stream", "list"}}
    for key in left - {keys.QUEUES}:
        found = led.redis.zrange(key, 0, -1) if led.redis.type(key) == "zset" else [key]
        assert not [name for name in found if name[:28] == batch[:28] or name == retried.id], key
    assert [row for row, _ in led.fleet.batch_jobs(batch)] == [1, 2, 3, 4]


def test_results_of_a_batch_that_an_older_worker_ended_are_asked_for_by_a_check(led):
    batch, [job] = submitted(led, 1)
    led.failed(job)
    led.redis.delete(keys.RESULTS)
    [finding] = check(led, repair=True)
    assert (finding.kind, finding.about, finding.mended) == ("results_not_written", batch, True)
    assert write(led) == 1
    assert check(led) == []


def test_results_that_lack_what_was_made_again_are_asked_for_by_a_check(led):
    batch, [job] = submitted(led, 1)
    led.failed(job)
    pack(led)
    assert write(led) == 1
    led.succeeded(led.fleet.retry(job.id))
    led.redis.delete(keys.RESULTS)
    [finding] = check(led, repair=True)
    assert (finding.kind, finding.about) == ("results_not_written", batch)
    assert write(led, hours=5) == 1
    assert check(led) == []


def test_results_that_make_no_sense_are_named(led):
    batch, [job] = submitted(led, 1)
    led.failed(job)
    assert write(led) == 1
    expire(led, batch)
    led.put(results_key("renders", batch=batch, number=1), b"no results")
    with pytest.raises(StorageError, match="holds no results of a batch"):
        list(led.fleet.batch_jobs(batch))


def test_a_batch_that_has_gone_meanwhile_is_looked_at_no_more(led):
    batch, [job] = submitted(led, 1)
    led.failed(job)
    expire(led, batch)
    assert write(led) == 0
    assert led.redis.zcard(keys.RESULTS) == 0


def torn(led, batch, tear=lambda data: data[:-3]):
    with redis.Redis.from_url(led.settings.redis_url) as raw:
        raw.hset(keys.ended_rows(batch), 0, tear(raw.hget(keys.ended_rows(batch), 0)))


def repaired(led):
    with Check(led.settings, repair=True) as checking:
        return [one for one in checking.run(objects=True) if one.kind is Kind.TORN_ROWS]


def test_torn_rows_are_made_again_from_the_results_in_the_bucket(led):
    batch, jobs = submitted(led, 6)
    led.succeeded(jobs[0], contents=(b"one", b"two"))
    led.failed(jobs[1])
    led.cancelled(jobs[2])
    led.running(jobs[3])
    led.fleet.cancel(jobs[3].id)
    led.store.end_cancelled(hold(led.fleet.get(jobs[3].id)))
    again = led.failed(led.fleet.retry(led.failed(jobs[4]).id))
    led.fleet.cancel_batch(batch)
    before, counts = dict(led.fleet.batch_jobs(batch)), led.fleet.batch(batch).counts
    assert pack(led) == 6
    assert write(led) == 1
    for tear in (lambda data: data[:-3], lambda _: b"", lambda data: data.replace(b"s", b"2", 1)):
        torn(led, batch, tear)
        [finding] = repaired(led)
        assert finding.mended
        assert "; else 5 of them were made again from its results" in finding.sentence
        assert {row: led.fleet.get(job.id) for row, job in before.items()} == before
    assert led.fleet.batch(batch).counts == counts
    assert dict(led.fleet.batch_jobs(batch))[5].id == again.id, (
        "what was made again is a job of its own"
    )
    with pytest.raises(JobNotFound):
        led.fleet.get(jobs[4].id)


def test_torn_rows_of_which_the_bucket_has_no_results_are_left_and_that_is_said(led):
    batch, jobs = submitted(led, 1)
    led.failed(jobs[0])
    assert pack(led) == 1
    torn(led, batch)
    [without_objects] = [one for one in check(led, repair=True) if one.kind is Kind.TORN_ROWS]
    assert "check --objects --repair makes them again from its results" in without_objects.sentence
    [finding] = repaired(led)
    assert not finding.mended
    assert finding.sentence.endswith("its results in the bucket do not tell them")
