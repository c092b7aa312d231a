"""Upkeep swept by hand: who gets a message again, whose lease is forgotten, and who waits in vain."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from producer.contract.jobs import JobError, JobStatus, Phase
from producer.contract.queues import readable_needs
from producer.store import keys
from producer.store.attempts import Hold
from producer.store.scripts import Scripts
from producer.store.sweeps import Sweeps
from producer.upkeep.sweeper import QUEUE_IDLE, Upkeep
from tests.graphs import sleeping
from tests.integration.default_queue import ANY
from tests.integration.hand_led import LEASE, WORKER, hold
from tests.key_lives import kept_for_ever
from tests.polling import wait_until

KEEP = timedelta(days=7)
FAULT = JobError(cause="node_fault", message="the node went away", node="gpu-01")
MESSAGES = keys.message_list(ANY, 3)
QUEUED = keys.queued(ANY, 3)


def upkeep(led, *, lease=LEASE, renew=timedelta(seconds=5), redis=None) -> Upkeep:
    return Upkeep(
        store=led.store,
        sweeps=Sweeps(led.redis, keep_ended=KEEP),
        dispatch=led.fleet._dispatch,
        who="test",
        lease=lease,
        renew=renew,
        every=timedelta(seconds=1),
        interrupt=lambda _: None,
        judge=lambda _: None,
        sightings_apart=timedelta(0),
        redis=redis,
    )


def sweep_twice(led) -> None:
    """Do what finds a lost message: it takes two sightings, here one right after the other."""
    sweeping = upkeep(led)
    for _ in range(2):
        led.redis.delete(keys.lock("upkeep"))
        sweeping.sweep()


def due_after(led, days) -> None:
    """Do what falls due within so many days."""
    clock = f"local t = redis.call('TIME') return t[1] * 1000 + {days} * 86400000"
    sweeps = Sweeps(led.redis, keep_ended=KEEP, scripts=Scripts(led.redis, clock_lua=clock))
    sweeps.due()


def requeued(led, job):
    """Return *job* after one more attempt, waiting for the next."""
    led.running(job)
    led.store.requeue(job.id, attempt=job.attempt, worker=WORKER, error=FAULT, charged=False)
    return led.fleet.get(job.id)


@pytest.fixture
def lost(led):
    """Jobs whose messages are lost."""
    jobs = [led.queued() for _ in range(3)]
    led.redis.delete(MESSAGES)
    return jobs


def test_a_record_that_only_a_newer_version_can_read_keeps_no_other_from_its_message(led, lost):
    record = keys.job(lost[1].id)
    spec = {**json.loads(led.redis.hget(record, "spec")), "tier": "interactive"}
    led.redis.hset(record, mapping={"spec": json.dumps(spec), "v": 2})
    sweep_twice(led)
    told = {json.loads(sent)["headers"]["id"] for sent in led.redis.lrange(MESSAGES, 0, -1)}
    assert told == {f"{job.id}.1" for job in lost}


@pytest.mark.writes_keys
def test_a_step_of_upkeep_that_fails_keeps_it_from_no_other(led, lost):
    led.redis.set(keys.job("no-hash"), "what is due cannot be read")
    led.redis.zadd(keys.DELAYED, {"no-hash": 1})
    sweep_twice(led)
    assert led.redis.llen(MESSAGES) == len(lost)


JUNK = ("no JSON", "null", "7", "{}", '{"headers": 7}', '{"headers": {"id": ["x"]}}', "[[[")


@pytest.mark.parametrize("junk", [*JUNK, None], ids=[*JUNK, "no list at all"])
@pytest.mark.usefixtures("lost")
def test_a_foreign_entry_in_one_list_keeps_no_other_queue_from_its_messages(led, junk):
    video = led.of_batch(None)
    led.redis.delete(keys.message_list(video.queue, video.tier.priority))
    if junk is None:
        led.redis.set(MESSAGES, "no list at all")
    else:
        led.redis.lpush(MESSAGES, junk)
    sweep_twice(led)
    assert led.redis.llen(keys.message_list(video.queue, video.tier.priority)) == 1


def test_what_a_queue_needs_may_be_torn_and_the_others_are_served(led):
    led.queued()
    led.redis.hset(keys.QUEUES, mapping={"torn": "{", "foreign": "[]", "older": '{"pool": "x"}'})
    assert set(readable_needs(Sweeps(led.redis, keep_ended=KEEP).queues())) == {ANY}


def retire_after(led, days=0.0):
    """Retire what is idle by then; workers have taken, and dropped, all messages of ended jobs."""
    if not led.redis.exists(QUEUED):
        led.redis.delete(MESSAGES)
    clock = f"local t = redis.call('TIME') return t[1] * 1000 + math.floor({days} * 86400000)"
    sweeps = Sweeps(led.redis, keep_ended=KEEP, scripts=Scripts(led.redis, clock_lua=clock))
    return sweeps.retire_queues(idle=QUEUE_IDLE)


def test_a_queue_that_nobody_uses_is_retired_and_opens_with_its_next_job(led):
    led.redis.sadd(f"{keys.KOMBU_BINDINGS}{ANY}", "a binding")
    led.cancelled()
    assert retire_after(led, 0.9) == []
    assert retire_after(led, 1.1) == [ANY]
    assert not led.redis.hexists(keys.QUEUES, ANY)
    assert not led.redis.exists(f"{keys.KOMBU_BINDINGS}{ANY}")
    led.queued()
    assert led.redis.hexists(keys.QUEUES, ANY)
    assert not led.redis.hexists(keys.QUEUES_RETIRED, ANY)


def test_a_queue_in_which_a_job_waits_is_not_retired(led):
    led.queued()
    assert retire_after(led, 2) == []
    assert led.redis.hexists(keys.QUEUES, ANY)


def test_a_message_without_a_job_keeps_its_queue_until_a_worker_has_dropped_it(led):
    led.queued()
    led.redis.delete(QUEUED)
    led.redis.rename(MESSAGES, keys.message_list(ANY, 0))
    assert retire_after(led, 2) == []


def test_a_job_that_comes_back_to_a_retired_queue_opens_it(led):
    held, running, failed = (led.queued(start_within=timedelta(days=400)) for _ in range(3))
    led.fleet.hold(held.id)
    led.running(running)
    failed = led.failed(failed)
    for come_back in (
        lambda: led.fleet.release(held.id),
        lambda: led.store.requeue(running.id, attempt=1, worker=WORKER, error=FAULT, charged=False),
        lambda: led.fleet.retry(failed.id),
    ):
        assert retire_after(led, 300) == [ANY]
        come_back()
        assert led.redis.hexists(keys.QUEUES, ANY)
        led.redis.delete(QUEUED)


def test_what_a_retired_queue_needs_is_forgotten_with_the_last_record_that_may_name_it(led):
    led.cancelled()
    retire_after(led, 2)
    retire_after(led, 119)
    assert led.redis.hexists(keys.QUEUES_RETIRED, ANY)
    retire_after(led, 121)  # start deadline, life of a live record, life of an index
    assert not led.redis.exists(keys.QUEUES_RETIRED)


def test_a_queue_of_an_older_version_is_retired_too(led):
    led.redis.hset(keys.QUEUES, "comfyfleet.pool.default.0123456789ab", "{}")
    assert retire_after(led) == []
    assert retire_after(led, 1.1) == ["comfyfleet.pool.default.0123456789ab"]


def test_a_lease_is_forgotten_unless_its_job_was_claimed_just_now(led):
    sweeps = Sweeps(led.redis, keep_ended=KEEP)
    job = led.queued()
    led.redis.zadd(keys.LEASES, {job.id: 1})
    sweeps.forget_lease(job.id)
    assert led.redis.zscore(keys.LEASES, job.id) is None
    led.running(job)
    sweeps.forget_lease(job.id)
    assert led.redis.zscore(keys.LEASES, job.id) is not None


def test_a_lease_of_what_is_no_job_is_forgotten_and_told_once(led, caplog):
    led.redis.zadd(keys.LEASES, {"not-a-job\x1b[2J": 1})
    sweeping = upkeep(led, lease=timedelta(seconds=0.1), renew=timedelta(seconds=0.05))

    def is_forgotten():
        led.redis.delete(keys.lock("upkeep"))
        sweeping.sweep()
        return not led.redis.zcard(keys.LEASES)

    wait_until(is_forgotten, description="it is forgotten")
    told = [record.getMessage() for record in caplog.records if "not-a-job" in record.getMessage()]
    assert told == ["a lease of 'not-a-job\\x1b[2J' is forgotten: no job has such an id"]


def test_a_job_that_began_once_and_finds_no_node_any_more_ends_as_a_dead_letter(led):
    job = requeued(led, led.queued(start_within=timedelta(days=2)))
    due_after(led, 20)  # no worker has lived to look any sooner
    due_after(led, 34)
    assert led.fleet.get(job.id).status is JobStatus.QUEUED
    assert led.redis.ttl(keys.job(job.id)) > timedelta(days=36).total_seconds()
    due_after(led, 36)
    ended = led.fleet.get(job.id)
    assert (ended.status, ended.cause) == (JobStatus.FAILED, "not_resumed")
    assert "for 15 days" in ended.error.message
    assert led.redis.zscore(keys.DEAD, job.id)
    assert led.redis.zscore(keys.DELAYED, job.id) is None


def test_who_holds_and_releases_a_job_that_began_once_does_not_move_its_last_date(led):
    job = requeued(led, led.queued(start_within=timedelta(days=2)))
    due_after(led, 3)
    led.fleet.hold(job.id)
    led.fleet.release(job.id)
    due_after(led, 17)
    assert led.fleet.get(job.id).status is JobStatus.QUEUED
    due_after(led, 19)
    assert led.fleet.get(job.id).status is JobStatus.FAILED


def test_each_attempt_has_its_own_time_to_find_a_node(led):
    job = requeued(led, led.queued(start_within=timedelta(days=2)))
    due_after(led, 3)
    requeued(led, job)
    due_after(led, 19)
    assert led.fleet.get(job.id).status is JobStatus.QUEUED
    due_after(led, 35)
    assert led.fleet.get(job.id).status is JobStatus.FAILED


def test_a_batch_that_is_held_for_a_year_has_all_that_it_needs_to_go_on(led):
    year = timedelta(days=365)
    batch = led.fleet.submit_many(sleeping(), [{"2.nonce": 1}, {"2.nonce": 2}], start_within=year)
    sweep_twice(led)
    led.fleet.hold_batch(batch.id)
    job = led.queued(start_within=year)
    led.fleet.hold(job.id)
    sweep_twice(led)
    eternal = kept_for_ever()
    passing = (keys.lock(""), "_kombu", "unacked", keys.QUEUES_USED)
    short = {
        key
        for key in led.redis.scan_iter()
        if key.startswith("comfyfleet:") and key not in eternal and not key.startswith(passing)
        if led.redis.ttl(key) < year.total_seconds()
    }
    assert short == set()


def test_a_worker_that_left_in_order_or_rendered_for_long_has_not_died_of_its_job(led):
    sweeps = Sweeps(led.redis, keep_ended=KEEP)
    job = led.running()

    def taken_back(worker: str, *, after_s: float = 0) -> int:
        clock = f"local t = redis.call('TIME') return t[1] * 1000 + {after_s} * 1000"
        at = Sweeps(led.redis, keep_ended=KEEP, scripts=Scripts(led.redis, clock_lua=clock))
        (back,) = at.take_back("gpu-01", worker=worker, lease=LEASE)
        assert at.take_back("gpu-01", worker=worker, lease=LEASE) == [back]
        return back.deaths

    led.store.leave(hold(job))
    assert taken_back("gpu-01:2") == 0
    assert taken_back("gpu-01:3", after_s=61) == 0
    assert taken_back("gpu-01:4", after_s=62) == 1
    led.store.note(Hold(job.id, 1, "gpu-01:4"), phase=Phase.STORING)
    assert taken_back("gpu-01:5", after_s=1_000) == 2
    led.store.requeue(job.id, attempt=1, worker="gpu-01:5", error=FAULT, charged=False)
    again = led.fleet.get(job.id)
    led.running(again)
    assert [back.deaths for back in sweeps.take_back("gpu-01", worker="x", lease=LEASE)] == [1]
