"""Ended jobs that are made again, and the list of those that a person should look at."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from producer.contract.errors import InvalidJob, JobNotFound
from producer.contract.jobs import JobStatus
from producer.contract.queues import Tier, node_queue
from producer.store import keys
from producer.store.dead_letters import RECORD_EXPIRED
from producer.store.node_store import NodeStore


@pytest.fixture
def fleet(led):
    return led.fleet


def expire(led, job):
    """Do what time does to the record of an ended job."""
    led.redis.delete(keys.job(job.id))


def counts(led, batch):
    found = led.redis.hgetall(f"{keys.BATCH}{batch}")
    return {name: int(found[name]) for name in JobStatus if name in found}


def test_a_retry_is_the_same_job_anew(led, fleet):
    old = led.failed(led.of_batch("b1"))
    new = fleet.retry(old.id)
    assert new.id != old.id
    assert (new.retry_of, new.status, new.attempt) == (old.id, JobStatus.QUEUED, 1)
    kept = {"template", "params", "inputs", "metadata", "owner", "batch", "pool", "queue", "tier"}
    assert new.model_dump(include=kept) == old.model_dump(include=kept)
    assert new.run_within_s == old.run_within_s
    assert new.start_deadline - new.created_at == old.start_deadline - old.created_at
    assert new.idempotency_key is None


def test_a_retry_waits_with_a_message_and_can_be_claimed(led, fleet):
    new = fleet.retry(led.failed().id)
    assert led.redis.zscore(keys.queued(new.queue, new.tier.priority), new.id)
    assert led.redis.llen(keys.message_list(new.queue, new.tier.priority)) == 2  # the old one's too
    assert led.running(new).status is JobStatus.RUNNING


def test_every_way_to_end_can_be_made_again(led, fleet):
    for old in (led.failed(dead=False), led.cancelled()):
        assert fleet.retry(old.id).retry_of == old.id


def test_a_retry_takes_the_place_of_its_job_in_the_batch(led, fleet):
    other = led.of_batch("b1")
    old = led.failed(led.of_batch("b1"))
    assert counts(led, "b1") == {"queued": 1, "running": 0, "failed": 1}
    new = fleet.retry(old.id)
    assert counts(led, "b1") == {"queued": 2, "running": 0, "failed": 0}
    led.cancelled(new)
    led.cancelled(other)
    assert counts(led, "b1")["cancelled"] == 2


def test_a_job_that_was_retried_twice_at_once_is_made_once(led, fleet):
    old = led.failed(led.of_batch("b1"))
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(fleet.retry, [old.id] * 8))
    assert len({job.id for job in made}) == 1
    assert counts(led, "b1")["queued"] == 1
    assert fleet.retry(old.id).id == made[0].id


def test_a_retry_that_failed_is_retried_itself(led, fleet):
    first = led.failed()
    second = led.failed(fleet.retry(first.id))
    assert fleet.retry(first.id).id == second.id
    assert fleet.retry(second.id).retry_of == second.id


def test_tier_and_node_of_a_retry_may_be_others(led, fleet):
    nodes = NodeStore(led.redis, lease=timedelta(seconds=15))
    facts = {"pool": "default", "url": "http://127.0.0.1:1", "state": "ready", "host": "here"}
    nodes.register("gpu-02", worker="w", fields=facts)
    new = fleet.retry(led.failed().id, tier="rush", pin="gpu-02")
    assert (new.tier, new.pin, new.queue) == (Tier.RUSH, "gpu-02", node_queue("gpu-02"))
    again = fleet.retry(led.failed(new).id)
    assert (again.pin, again.queue) == (new.pin, new.queue)
    with pytest.raises(InvalidJob, match="there is no node 'gpu-20'; did you mean gpu-02"):
        fleet.retry(led.failed(again).id, pin="gpu-20")
    with pytest.raises(InvalidJob, match="there is no tier 'urgent'; tiers are rush, default"):
        fleet.retry(again.id, tier="urgent")


def test_a_live_job_is_not_made_again(led, fleet):
    job = led.queued()
    with pytest.raises(InvalidJob, match="is queued; only an ended job"):
        fleet.retry(job.id)
    led.running(job)
    with pytest.raises(InvalidJob, match="is running; only an ended job"):
        fleet.dead_letters.redrive(job.id)


def test_what_is_gone_is_not_made_again(led, fleet):
    job = led.failed()
    led.redis.delete(keys.template(job.template))
    with pytest.raises(InvalidJob, match=r"the graph of job .* has expired"):
        fleet.retry(job.id)
    assert fleet.dead_letters.list()[0].id == job.id  # nothing was changed
    expire(led, job)
    with pytest.raises(JobNotFound):
        fleet.retry(job.id)


def test_the_graph_stays_as_long_as_its_retry_may_need_it(led, fleet):
    job = led.failed()
    led.redis.pexpire(keys.template(job.template), 60_000)
    new = fleet.retry(job.id)
    live = led.redis.pttl(keys.job(new.id))
    assert led.redis.pttl(keys.template(job.template)) > live > 60_000


def test_a_job_whose_queue_was_forgotten_says_so(led, fleet):
    job = led.failed()
    led.redis.delete(keys.QUEUES)
    with pytest.raises(InvalidJob, match=r"forgotten what the queue .* needs"):
        fleet.retry(job.id)


def test_dead_letters_come_newest_first_with_their_records(led, fleet):
    jobs = [led.failed(cause=cause) for cause in ("execution_error", "out_of_memory")]
    led.failed(dead=False)
    assert [letter.job for letter in fleet.dead_letters.list()] == jobs[::-1]
    assert [letter.cause for letter in fleet.dead_letters.list(1)] == ["out_of_memory"]
    assert fleet.dead_letters.list()[0].ended_at == jobs[1].ended_at
    assert fleet.dead_letters.causes() == {"execution_error": 1, "out_of_memory": 1}
    assert fleet.dead_letters.list(0) == []


def test_a_dead_letter_whose_record_expired_is_shown_once_more(led, fleet):
    gone, kept = led.failed(), led.failed()
    expire(led, gone)
    assert fleet.dead_letters.causes() == {"execution_error": 1, RECORD_EXPIRED: 1}
    shown = {letter.id: letter.cause for letter in fleet.dead_letters.list()}
    assert shown == {kept.id: "execution_error", gone.id: RECORD_EXPIRED}
    assert [letter.id for letter in fleet.dead_letters.list()] == [kept.id]


def test_expired_dead_letters_are_pruned_and_no_others(led, fleet):
    gone, kept = led.failed(), led.failed()
    expire(led, gone)
    assert fleet.dead_letters.prune() == 1
    assert fleet.dead_letters.ids() == (kept.id,)


def test_a_dead_letter_that_cannot_be_read_does_not_hide_the_others(led, fleet):
    broken, kept = led.failed(), led.failed()
    led.redis.hset(keys.job(broken.id), "spec", "{")
    assert {letter.id: letter.cause for letter in fleet.dead_letters.list()} == {
        kept.id: "execution_error",
        broken.id: "record unreadable",
    }
    assert len(fleet.dead_letters.list()) == 2


@pytest.mark.writes_keys
def test_a_dead_letter_whose_key_is_of_another_type_does_not_hide_the_others(led, fleet):
    broken, kept = led.failed(), led.failed()
    led.redis.delete(keys.job(broken.id))
    led.redis.set(keys.job(broken.id), "no record")
    assert {letter.id for letter in fleet.dead_letters.list()} == {kept.id, broken.id}
    assert fleet.dead_letters.causes() == {"execution_error": 1, "record unreadable": 1}


def test_a_redriven_letter_is_none_any_more(led, fleet):
    job = led.failed()
    new = fleet.dead_letters.redrive(job.id)
    assert (new.retry_of, fleet.dead_letters.list()) == (job.id, [])
    with pytest.raises(InvalidJob, match="is no dead letter"):
        fleet.dead_letters.show(job.id)
    assert fleet.dead_letters.redrive(job.id).id == new.id


def test_two_redrives_at_once_make_one_job(led, fleet):
    job = led.failed()
    with ThreadPoolExecutor(8) as pool:
        made = {new.id for new in pool.map(fleet.dead_letters.redrive, [job.id] * 8)}
    assert len(made) == 1


def test_a_retried_letter_is_none_any_more(led, fleet):
    fleet.retry(led.failed().id)
    assert fleet.dead_letters.list() == []


def test_only_dead_letters_are_redriven(led, fleet):
    job = led.failed(dead=False)
    with pytest.raises(InvalidJob, match="is failed, but no dead letter"):
        fleet.dead_letters.redrive(job.id)
    with pytest.raises(InvalidJob, match="is cancelled, but no dead letter"):
        fleet.dead_letters.redrive(led.cancelled().id)
    retried = led.cancelled()
    fleet.retry(retried.id)
    with pytest.raises(InvalidJob, match="is cancelled, but no dead letter"):
        fleet.dead_letters.redrive(retried.id)


def test_a_redrive_is_logged_once_however_often_it_is_asked_for(led, fleet):
    job = led.failed()
    again = fleet.dead_letters.redrive(job.id)
    assert fleet.dead_letters.redrive(job.id) == again
    logged = [(entry.what, entry.selection, entry.detail) for entry in fleet.action_log()]
    assert logged == [("dead.redrive", job.id, again.id)]


def test_a_dropped_letter_keeps_its_record(led, fleet):
    job = led.failed()
    assert fleet.dead_letters.show(job.id).job == job
    assert fleet.dead_letters.drop(job.id) is True
    assert fleet.dead_letters.drop(job.id) is False
    assert fleet.get(job.id) == job


def test_all_are_dropped_only_when_that_is_meant(led, fleet):
    jobs = [led.failed(), led.failed()]
    asked = led.command("dead", "drop", "--all")
    assert asked.returncode == 2
    assert "this would drop 2 dead letters" in asked.stderr
    assert len(fleet.dead_letters.list()) == 2
    dropped = led.command("dead", "drop", "--all", "--yes")
    assert dropped.stdout.splitlines() == [f"{job.id} dropped" for job in reversed(jobs)]
    assert fleet.dead_letters.list() == []
    gone = led.command("dead", "drop", jobs[0].id)
    assert (gone.returncode, "is no dead letter" in gone.stderr) == (4, True)


def test_all_are_redriven_but_for_those_that_cannot_be(led, fleet):
    expired, graphless, good = led.failed(), led.failed(led.of_batch(None)), led.failed()
    expire(led, expired)
    led.redis.delete(keys.template(graphless.template))
    redriven = led.command("dead", "redrive", "--all", "--yes")
    assert redriven.returncode == 4
    assert f"the graph of job {graphless.id} has expired" in redriven.stderr
    assert "1 dead letter gone: the record has expired" in redriven.stderr
    assert fleet.get(redriven.stdout.strip()).retry_of == good.id
    assert [letter.id for letter in fleet.dead_letters.list()] == [graphless.id]


def test_the_list_counts_causes_beyond_what_it_shows(led):
    for cause in ("out_of_memory", "poison", "poison"):
        led.failed(cause=cause)
    listed = led.command("dead", "list", "--limit", "1")
    assert len(listed.stdout.splitlines()) == 1
    assert "3 dead letters: 2 poison, 1 out_of_memory; the newest 1 are shown" in listed.stderr
