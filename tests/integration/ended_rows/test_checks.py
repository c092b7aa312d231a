"""Packed rows that are torn, not listed or not counted: told, mended where that is safe, and hiding no others."""

from __future__ import annotations

from collections import Counter

import pytest
import redis

from producer.checking.findings import Kind
from producer.contract.errors import InvalidJob, UnreadableRecord
from producer.contract.ids import row_id
from producer.contract.jobs import JobStatus
from producer.store import keys
from producer.store.audit import Audit
from producer.store.job_lists import ENDED_BADLY, forget_expired
from producer.store.scripts import Scripts
from tests.integration.checks import assert_found_and_mended, check
from tests.integration.default_queue import QUEUED
from tests.integration.ended_rows.rig import pack, submitted


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
