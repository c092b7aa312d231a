"""One key of another Redis type, or one that makes no sense, takes no other job or batch with it."""

from __future__ import annotations

import pytest

from producer.checking.findings import Kind
from producer.contract.ids import row_id
from producer.contract.jobs import JobStatus
from producer.store import keys
from producer.store.sweeps import Sweeps
from tests.integration.batch_feeding import GRAPH, feed, seeds
from tests.integration.checks import check
from tests.integration.default_queue import ANY
from tests.integration.hand_led import LEASE
from tests.integration.test_upkeep import KEEP, MESSAGES, QUEUED, due_after, sweep_twice

pytestmark = pytest.mark.writes_keys

NO_UTF8 = b"\xff\xfe"


def spoil(led, key):
    led.redis.delete(key)
    led.redis.set(key, "of another type")


def unreadable(led):
    found = check(led, repair=True)
    return {finding.about for finding in found if finding.kind is Kind.UNREADABLE_RECORD}


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda led, batch: spoil(led, keys.batch(batch)),
        lambda led, batch: spoil(led, keys.rows(batch)),
        lambda led, batch: led.redis.hset(keys.rows(batch), "0", "not packed"),
        lambda led, batch: led.redis.hset(keys.batch(batch), "fed", "many"),
        lambda led, batch: led.redis.hset(keys.batch(batch), "spec", "{"),
    ],
    ids=["batch", "rows", "one bucket", "a count", "spec"],
)
def test_an_odd_batch_is_told_by_check_and_keeps_no_other_from_being_fed(led, spoiled):
    odd, other = (led.fleet.submit_many(GRAPH, seeds(3)).id for _ in range(2))
    spoiled(led, odd)
    feed(led.fleet)
    assert led.fleet.batch(other).counts.queued == 3
    assert unreadable(led) == {odd}


def test_what_is_no_utf8_is_shown_with_escapes_and_keeps_nothing_from_being_read(led):
    odd, other = (led.fleet.submit_many(GRAPH, seeds(3)).id for _ in range(2))
    led.redis.hset(keys.batch(odd), "name", NO_UTF8)
    led.redis.hset(keys.job(job := led.queued().id), "node", NO_UTF8)
    feed(led.fleet)
    assert led.fleet.batch(other).counts.queued == 3
    assert led.fleet.batch(odd).name == r"\xff\xfe"
    assert led.fleet.get(job).node == r"\xff\xfe"


@pytest.mark.parametrize("index", [keys.live("no-batch"), keys.queued(ANY, 9)])
def test_an_index_of_another_type_is_told_and_the_others_are_checked(led, index):
    job = led.queued()
    led.redis.zrem(QUEUED, job.id)
    spoil(led, index)
    assert unreadable(led) == {index}
    assert led.redis.zscore(QUEUED, job.id)


def test_a_job_whose_index_is_of_another_type_is_told_and_the_others_are_mended(led):
    batch = led.fleet.submit_many(GRAPH, seeds(1)).id
    feed(led.fleet)
    lost = led.queued()
    led.redis.zrem(QUEUED, lost.id)
    spoil(led, keys.live(batch))
    assert unreadable(led) == {row_id(batch, 1), keys.live(batch)}
    assert led.redis.zscore(QUEUED, lost.id)


def test_a_job_of_another_type_keeps_no_other_from_its_message_its_end_or_its_cancel(led):
    odd, *jobs = (led.queued() for _ in range(4))
    spoil(led, keys.job(odd.id))
    led.redis.delete(MESSAGES)
    led.redis.zadd(QUEUED, {odd.id: 0})
    sweep_twice(led)
    assert led.redis.llen(MESSAGES) == len(jobs)
    spoil(led, keys.job(odd.id))
    led.store.cancel_all([odd.id, jobs[0].id, jobs[1].id])
    assert led.fleet.get(jobs[1].id).status is JobStatus.CANCELLED
    led.redis.zadd(keys.DELAYED, {odd.id: 1})
    due_after(led, 40)
    assert led.fleet.get(jobs[2].id).status is JobStatus.EXPIRED


def test_a_worker_takes_back_its_jobs_beside_one_of_another_type(led):
    job = led.running()
    spoil(led, keys.job("no-job"))
    led.redis.zadd(keys.LEASES, {"no-job": 1})
    sweeps = Sweeps(led.redis, keep_ended=KEEP)
    assert [back.job_id for back in sweeps.take_back("gpu-01", worker="x", lease=LEASE)] == [job.id]
