"""Rows of batches whose records are packed: whoever asks for them meets no difference."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
import redis

from producer.checking.findings import Kind
from producer.checking.verify import Verifier
from producer.contract.cancel_outcomes import Cancelled
from producer.contract.errors import InvalidJob, JobNotFound, UnreadableRecord
from producer.contract.ids import row_id
from producer.contract.jobs import JobStatus
from producer.contract.result_lines import line_of
from producer.store import keys
from producer.store.audit import Audit
from producer.store.job_lists import ENDED_BADLY, forget_expired
from producer.store.scripts import Scripts
from producer.store.sweeps import Sweeps
from tests.integration.batch_feeding import GRAPH, feed, seeds
from tests.integration.checks import assert_found_and_mended, check
from tests.integration.default_queue import QUEUED
from tests.integration.test_upkeep import KEEP

HOURS_AHEAD = "local t = redis.call('TIME') return t[1] * 1000 + {hours} * 3600000"


@pytest.fixture
def led(led_with_s3):
    return led_with_s3


def packing(led, *, hours=2):
    """Return what packs rows in upkeep, so many hours from now."""
    scripts = Scripts(led.redis, clock_lua=HOURS_AHEAD.format(hours=hours))
    sweeps = Sweeps(led.redis, keep_ended=KEEP, scripts=scripts)
    return sweeps.row_packing(after=timedelta(hours=1))


def pack(led, *, hours=2):
    """Pack all that ended an hour before, and return how many rows that were."""
    packs, packed = packing(led, hours=hours), 0
    while some := packs.pack():
        packed += some
    return packed


def submitted(led, rows, **options):
    """Return the rows of a new batch as jobs, all of them fed."""
    batch = led.fleet.submit_many(GRAPH, seeds(rows), **options).id
    feed(led.fleet)
    return batch, [led.fleet.get(row_id(batch, row)) for row in range(1, rows + 1)]


@pytest.fixture
def ended(led):
    """A batch whose rows ended in every way, packed; what each was before, and its counts then."""
    batch, jobs = submitted(led, 5)
    led.succeeded(jobs[0], contents=(b"one", b"two"))
    led.failed(jobs[1])
    led.cancelled(jobs[2])
    led.succeeded(jobs[3], contents=())
    led.failed(jobs[4], dead=False)
    before = dict(led.fleet.batch_jobs(batch))
    counts = led.fleet.batch(batch).counts
    assert pack(led) == 5
    assert not led.redis.exists(*(keys.job(job.id) for job in jobs))
    return batch, before, counts


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


def test_a_check_counts_packed_rows_and_mends_counts_by_them(led, ended):
    batch, _, counts = ended
    assert check(led, objects=True) == []
    led.redis.hincrby(keys.batch(batch), "succeeded", 3)
    led.redis.hincrby(keys.batch(batch), "failed", -1)
    assert {found.kind for found in check(led, repair=True)} == {Kind.WRONG_COUNT}
    assert led.fleet.batch(batch).counts == counts
    assert check(led) == []


def test_a_row_that_ends_and_is_packed_during_a_check_is_counted(led):
    batch, [job] = submitted(led, 1)
    audit = Audit(led.redis)
    before = audit.batches()[batch]
    led.failed(job)
    assert pack(led) == 1
    counts = {"before": before, "ended": Counter(), "others": [job.id]}
    assert audit.recount(batch, **counts, is_complete=True, mend=True) == []


def test_a_check_misses_an_object_of_a_packed_row(led, ended):
    key = led.fleet.get(row_id(ended[0], 1)).artifacts[0].key
    led.delete(key)
    [finding] = check(led, objects=True)
    assert (finding.kind, finding.about) == (Kind.MISSING_OBJECT, key)


def test_ended_rows_of_which_upkeep_does_not_know_are_listed_again(led):
    _, [job] = submitted(led, 1)
    led.failed(job)
    led.redis.delete(keys.UNPACKED_ROWS)
    [finding] = check(led)
    assert (finding.kind, finding.about, finding.is_left) == (Kind.NOT_PACKED, job.id, False)
    check(led, repair=True)
    assert check(led) == []
    assert pack(led) == 1


def test_torn_rows_are_named_and_no_others_are_lost(led, ended):
    batch, _, _ = ended
    other, [job] = submitted(led, 1)
    led.failed(job)
    assert pack(led) == 1
    with redis.Redis.from_url(led.settings.redis_url) as raw:
        data = raw.hget(keys.ended_rows(batch), 0)
        raw.hset(keys.ended_rows(batch), 0, data[:-40] + bytes(40))
    [torn] = [found for found in check(led) if found.kind is Kind.TORN_ROWS]
    assert torn.is_left
    assert f"rows 1 to 100 of batch {batch} have ended, and cannot be read" in torn.sentence
    assert list(led.fleet.batch_jobs(batch)) == list(led.fleet.batch_results(batch)) == []
    assert [job.status for _, job in led.fleet.batch_jobs(other)] == [JobStatus.FAILED]


TEARS = {
    "cut": lambda data: data[:-3],
    "one bit": lambda data: data[:30] + bytes([data[30] ^ 1]) + data[31:],
    "letters": lambda data: data.replace(b"sf", b"fs", 1),
    "a newer version": lambda data: b"2" + data[1:],
    "text": lambda _: b"text",
    "nothing": lambda _: b"",
    "letters alone": lambda data: data.partition(b"\n")[0] + b"\n",
}


def test_whatever_is_torn_of_packed_rows_is_told_by_each_call_and_left_as_evidence(led, ended):
    batch, before, _ = ended
    job_id = before[2].id
    calls = (led.fleet.get, led.fleet.retry, led.fleet.wait, lambda one: led.fleet.get_many([one]))
    with redis.Redis.from_url(led.settings.redis_url) as raw:
        data = raw.hget(keys.ended_rows(batch), 0)
        for tear in TEARS.values():
            raw.hset(keys.ended_rows(batch), 0, torn := tear(data))
            for call in calls:
                with pytest.raises(
                    UnreadableRecord, match=f"^the record of job {job_id} cannot be"
                ):
                    call(job_id)
            assert [found.kind for found in check(led, repair=True)] == [Kind.TORN_ROWS]
            assert raw.hget(keys.ended_rows(batch), 0) == torn
        raw.hset(keys.ended_rows(batch), 0, data)
    assert led.fleet.get(job_id) == before[2]
    assert check(led) == []


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


TORN_NOTES = ("{", "[1", "null", "5", '{"2": 7}', '{"x": "y"}', "[" * 5_000, b"\xff")


@pytest.mark.writes_keys
@pytest.mark.parametrize("note", TORN_NOTES, ids=range(len(TORN_NOTES)))
def test_a_torn_note_of_what_was_made_again_is_told_and_made_anew_and_hides_nothing(
    led, ended, note
):
    batch, before, _ = ended
    new = led.fleet.retry(before[2].id)
    lost = led.queued()
    led.redis.zrem(QUEUED, lost.id)
    led.redis.hset(keys.ended_rows(batch), "0:again", note)
    assert led.fleet.get(before[5].id).status is JobStatus.FAILED
    assert [line["row"] for line in led.fleet.batch_results(batch)] == [1, 2, 3, 4, 5]
    with pytest.raises(InvalidJob, match="cannot be read whether job"):
        led.fleet.retry(before[5].id)
    found = {finding.about: finding for finding in check(led)}
    assert found.keys() == {batch, lost.id}
    assert (found[batch].kind, found[batch].can_be_mended) == (Kind.TORN_ROWS, True)
    assert f"rows 1 to 100 of batch {batch}" in found[batch].sentence
    assert all(finding.mended for finding in check(led, repair=True))
    assert check(led) == []
    assert led.fleet.retry(before[2].id).id == new.id
    assert led.fleet.retry(before[5].id).retry_of == before[5].id


@pytest.mark.writes_keys
def test_rows_are_packed_beside_a_torn_note_and_what_it_lacks_is_noted_anew(led):
    batch, [job, other] = submitted(led, 2)
    new = led.fleet.retry(led.failed(job).id)
    assert pack(led) == 1
    led.redis.hset(keys.ended_rows(batch), "0:again", "{")
    led.fleet.retry(led.failed(other).id)
    assert pack(led, hours=4) == 1
    [finding] = check(led, repair=True)
    assert (finding.kind, finding.mended) == (Kind.TORN_ROWS, True)
    assert led.fleet.get(job.id).retried_as == new.id
    assert check(led) == []


@pytest.mark.writes_keys
def test_rows_whose_bucket_cannot_be_read_stay_listed_until_it_can(led, ended):
    batch, before, _ = ended
    whole = led.redis.execute_command("HGET", keys.ended_rows(batch), "0", NEVER_DECODE=True)
    listed = {status: led.redis.zrange(keys.ended(status), 0, -1) for status in ENDED_BADLY}
    for torn in (b"garbage", b"2sf\n", None):
        if torn is None:
            led.redis.rename(keys.ended_rows(batch), "aside")
            led.redis.set(keys.ended_rows(batch), "of another type")
        else:
            led.redis.hset(keys.ended_rows(batch), "0", torn)
        assert forget_expired(led.redis, Scripts(led.redis)) == 0
        assert [found.kind for found in check(led, repair=True)] == (
            [Kind.UNREADABLE_RECORD] if torn is None else [Kind.TORN_ROWS]
        )
    led.redis.rename("aside", keys.ended_rows(batch))
    led.redis.hset(keys.ended_rows(batch), "0", whole)
    assert {status: led.redis.zrange(keys.ended(status), 0, -1) for status in ENDED_BADLY} == listed
    assert [job.id for job in led.fleet.jobs("status:cancelled").jobs] == [before[3].id]
    assert check(led) == []


def test_packed_rows_that_a_list_of_ends_lacks_are_listed_again_at_their_time(led, ended):
    batch, *_ = ended
    listed = {
        status: led.redis.zrange(keys.ended(status), 0, -1, withscores=True)
        for status in ENDED_BADLY
    }
    led.redis.delete(keys.ended("failed"), keys.ended("cancelled"))
    assert_found_and_mended(led, Kind.MISSING_FROM_LIST, batch)
    assert listed == {
        status: led.redis.zrange(keys.ended(status), 0, -1, withscores=True)
        for status in ENDED_BADLY
    }
    assert led.redis.ttl(keys.ended("failed")) >= led.redis.ttl(keys.batch(batch)) - 5
