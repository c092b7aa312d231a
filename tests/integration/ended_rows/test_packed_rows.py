"""Rows of batches whose records are packed: whoever asks for them meets no difference."""

from __future__ import annotations

import pytest

from producer.checking.verify import Verifier
from producer.contract.cancel_outcomes import Cancelled
from producer.contract.errors import InvalidJob, JobNotFound
from producer.contract.ids import row_id
from producer.contract.jobs import JobStatus
from producer.contract.result_lines import line_of
from producer.store import keys
from producer.store.sweeps import Sweeps
from tests.integration.batch_feeding import GRAPH, feed, seeds
from tests.integration.checks import check
from tests.integration.ended_rows.rig import pack, packing, submitted
from tests.integration.test_upkeep import KEEP


def assert_results_are_those_of_the_jobs(led, batch):
    for statuses in ((), ["failed"], ["succeeded", "queued"]):
        jobs = led.fleet.batch_jobs(batch, statuses=statuses)
        expected = [line_of(row, job) for row, job in jobs]
        assert list(led.fleet.batch_results(batch, statuses=statuses)) == expected


def test_results_of_rows_that_wait_run_and_have_ended_come_in_order_and_by_status(led):
    batch = led.fleet.submit_many(
        GRAPH, [*seeds(3), {"1.nothing": 1}, *seeds(1_200)], skip_invalid=True
    ).id
    assert [line["row"] for line in led.fleet.batch_results(batch)][:5] == [1, 2, 3, 5, 6]
    feed(led.fleet)
    jobs = [job for _, job in led.fleet.batch_jobs(batch)]
    for job in jobs[:3]:
        led.failed(job)
    pack(led)
    led.running(jobs[3])
    assert_results_are_those_of_the_jobs(led, batch)


def test_packed_rows_read_as_their_records_did(led, ended):
    batch, before, counts = ended
    assert dict(led.fleet.batch_jobs(batch)) == before
    assert {row: led.fleet.get(row_id(batch, row)) for row in before} == before
    assert led.fleet.batch(batch).counts == counts
    assert [row for row, _ in led.fleet.batch_jobs(batch, statuses=["failed"])] == [2, 5]
    assert_results_are_those_of_the_jobs(led, batch)
    with pytest.raises(JobNotFound):
        led.fleet.get(row_id(batch, 6))


def test_a_batch_that_is_submitted_again_is_the_one_whose_rows_are_packed(led):
    batch, jobs = submitted(led, 2, idempotency_key="night")
    for job in jobs:
        led.failed(job)
    assert pack(led) == 2
    again = led.fleet.submit_many(GRAPH, seeds(2), idempotency_key="night")
    assert (again.id, again.done, again.counts.failed) == (batch, True, 2)
    feed(led.fleet)
    assert not led.redis.exists(*(keys.job(job.id) for job in jobs))


def test_what_a_packed_row_made_is_fetched_and_verified(led, ended, tmp_path):
    job = led.fleet.get(row_id(ended[0], 1))
    led.fleet.fetch(job.artifacts[1], tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == b"two"
    led.put(job.artifacts[0].key, b"ONE")
    with Verifier(led.settings) as verifier:
        [flaw] = verifier.flaws(verifier.succeeded())
        assert (flaw.job, flaw.key, verifier.totals.jobs) == (job.id, job.artifacts[0].key, 2)


def test_a_packed_row_that_ended_is_not_cancelled_or_held(led, ended):
    for row in range(1, 6):
        assert led.fleet.cancel(row_id(ended[0], row)) is Cancelled.ENDED
        with pytest.raises(InvalidJob, match="only one that waits can be held"):
            led.fleet.hold(row_id(ended[0], row))


def test_a_packed_row_is_made_again_once_and_says_so(led, ended):
    batch, before, counts = ended
    old = before[2]
    new = led.fleet.retry(old.id)
    assert led.fleet.retry(old.id).id == new.id
    assert (new.retry_of, new.batch, new.params) == (old.id, batch, old.params)
    assert led.fleet.get(old.id) == old.model_copy(update={"retried_as": new.id})
    led.succeeded(new)
    assert dict(led.fleet.batch_jobs(batch))[2].status is JobStatus.SUCCEEDED
    assert_results_are_those_of_the_jobs(led, batch)
    after = led.fleet.batch(batch).counts
    assert (after.failed, after.succeeded) == (counts.failed - 1, counts.succeeded + 1)
    assert check(led) == []


def test_a_row_that_was_made_again_while_it_was_packed_is_made_again_once(led):
    _, [job] = submitted(led, 1)
    led.failed(job)
    slow = packing(led)
    read, made = slow._ended_records, []

    def and_retried(bucket):
        records = read(bucket)
        made.append(led.fleet.retry(job.id).id)
        return records

    slow._ended_records = and_retried
    assert slow.pack() == 1
    assert led.fleet.get(job.id).retried_as == made[0]
    assert led.fleet.retry(job.id).id == made[0]


def test_two_who_pack_at_once_lose_nothing(led):
    batch, jobs = submitted(led, 2)
    led.failed(jobs[0])
    slow = packing(led)
    read = slow._ended_records

    def and_overtaken(bucket):
        records = read(bucket)
        led.failed(jobs[1])
        assert pack(led) == 2
        return records

    slow._ended_records = and_overtaken
    assert slow.pack() == 0
    assert [job.status for _, job in led.fleet.batch_jobs(batch)] == [JobStatus.FAILED] * 2


def test_dead_letters_stay_and_can_be_redriven(led, ended):
    old = ended[1][2]
    dead = led.fleet.dead_letters
    assert [(letter.id, letter.job) for letter in dead.list()] == [(old.id, old)]
    assert dead.causes() == {"execution_error": 1}
    assert dead.prune() == 0
    assert dead.show(old.id).job == old
    assert dead.redrive(old.id).retry_of == old.id
    assert dead.list() == []


def test_packed_rows_are_listed_by_their_end_and_are_not_forgotten(led, ended):
    batch, before, _ = ended
    Sweeps(led.redis, keep_ended=KEEP).forget_expired()
    failed = led.fleet.jobs("status:failed node:gpu-01").jobs
    assert {job.id for job in failed} == {before[2].id, before[5].id}
    assert [job.id for job in led.fleet.jobs("status:cancelled").jobs] == [before[3].id]
    led.redis.delete(keys.ended_rows(batch))
    Sweeps(led.redis, keep_ended=KEEP).forget_expired()
    assert led.fleet.jobs("status:failed").jobs == []
    assert led.redis.zcard(keys.ended("failed")) == 0


def test_rows_that_end_later_join_those_that_are_packed(led):
    batch, jobs = submitted(led, 103)
    led.failed(jobs[0])
    led.failed(jobs[102])
    assert pack(led) == 2
    assert pack(led, hours=4) == 0
    led.failed(jobs[1])
    assert pack(led, hours=0) == 0  # it has only just ended
    assert pack(led) == 1
    found = dict(led.fleet.batch_jobs(batch, statuses=["failed"]))
    assert found.keys() == {1, 2, 103}
    assert led.fleet.batch(batch).counts.queued == 100
    assert led.redis.zcard(keys.UNPACKED_ROWS) == 0


def test_nobody_has_to_have_the_batch_for_a_record_to_stay(led):
    batch, [job] = submitted(led, 1)
    before = led.failed(job)
    led.redis.delete(keys.batch(batch))
    assert pack(led) == 0
    assert led.fleet.get(job.id) == before
    assert led.redis.zcard(keys.UNPACKED_ROWS) == 0


def test_packed_rows_live_as_long_as_their_batch(led, ended):
    batch = ended[0]
    lives = [led.redis.pexpiretime(key(batch)) for key in (keys.batch, keys.ended_rows)]
    assert lives[0] == lives[1] > 0
    led.fleet.retry(row_id(batch, 2))
    lives = [led.redis.pexpiretime(key(batch)) for key in (keys.batch, keys.ended_rows)]
    assert lives[0] == lives[1] > 0


def test_a_record_that_a_newer_version_wrote_or_that_is_very_long_stays(led):
    _, jobs = submitted(led, 2)
    for job in jobs:
        led.failed(job)
    led.redis.hset(keys.job(jobs[0].id), "v", 99)
    led.redis.hset(
        keys.job(jobs[1].id), "error", '{"cause": "x", "message": "%s"}' % ("y" * 30_000)
    )
    assert pack(led) == 0
    assert led.redis.exists(*(keys.job(job.id) for job in jobs)) == 2
    assert led.redis.zcard(keys.UNPACKED_ROWS) == 0


def test_a_name_in_the_list_that_means_nothing_keeps_no_other_from_being_packed(led):
    _, [job] = submitted(led, 1)
    led.failed(job)
    led.redis.zadd(keys.UNPACKED_ROWS, {"nonsense": 1, "no-batch:7": 2})
    assert pack(led) == 1
    assert led.redis.zcard(keys.UNPACKED_ROWS) == 0
