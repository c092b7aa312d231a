"""One key of another Redis type, or one that makes no sense, takes no other job or batch with it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

import producer
from producer.checking.findings import Kind
from producer.client import Producer
from producer.contract.errors import FleetUnreachable, KeyOfAnotherType
from producer.contract.ids import row_id
from producer.contract.jobs import JobStatus
from producer.store import keys
from producer.store.key_types import TYPES
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


#: What a submission writes to; the others serve nodes, upkeep or persons.
_OF_JOBS = (
    *(keys.QUEUES, keys.QUEUES_USED, keys.QUEUES_NEEDED, keys.QUEUES_RETIRED, keys.DELAYED),
    *(keys.EVENTS, keys.OWNERS, keys.jobs("shop"), keys.owner("shop"), keys.queued(ANY, 6)),
)
_OF_BATCHES = (keys.BATCHES, keys.FEEDING, keys.RESULTS, keys.WAITING)


def spoil_index(led, key):
    led.redis.delete(key)
    led.redis.lpush(key, "somebody's")


def refused(call):
    with pytest.raises(KeyOfAnotherType) as caught:
        call()
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_job_is_refused_as_a_whole_where_an_index_is_of_another_type(led):
    failed = led.failed(led.queued(owner="shop"))
    for key in _OF_JOBS:
        kept = led.redis.dump(key)
        spoil_index(led, key)
        before = set(led.redis.scan_iter("*"))
        for call in (
            lambda: led.fleet.submit(GRAPH, owner="shop", tier="batch", idempotency_key="k"),
            lambda: led.fleet.retry(failed.id, tier="batch"),
        ):
            error = refused(call)
            assert (error.key, f"{key} is a list, not a " in error.message) == (key, True)
        assert set(led.redis.scan_iter("*")) == before, key
        assert led.fleet.get(failed.id).retried_as is None
        led.redis.delete(key)
        if kept:
            led.redis.restore(key, 0, kept)
    assert check(led) == []


def test_a_batch_is_refused_where_an_index_is_of_another_type_and_accepted_once_it_is_mended(led):
    for key in (*_OF_JOBS[:6], *_OF_BATCHES):
        kept = led.redis.dump(key)
        spoil_index(led, key)
        submit = partial(led.fleet.submit_many, GRAPH, list(seeds(3)), idempotency_key=key)
        assert refused(submit).key == key
        assert led.redis.type(key) == "list"
        led.redis.delete(key)
        if kept:
            led.redis.restore(key, 0, kept)
        assert submit().counts.waiting == 3
    feed(led.fleet)
    assert check(led) == []


def test_check_names_each_index_of_another_type_and_goes_on_with_the_rest(led):
    job = led.queued(owner="shop")
    led.redis.zrem(QUEUED, job.id)
    every = (*TYPES, keys.owner("shop"), keys.idle("default"), keys.ended("failed"))
    for key in every:
        spoil_index(led, key)
    assert set(every) <= unreadable(led)
    led.redis.delete(*every)
    for key in (keys.OUTBOX, keys.NODES, keys.SHAPES, keys.BATCHES):
        spoil_index(led, key)
    unreadable(led)
    assert led.redis.zscore(QUEUED, job.id)


def test_lists_and_owners_say_which_index_is_of_another_type(led):
    led.queued(owner="shop")
    for key, call in (
        (keys.jobs("shop"), lambda: led.fleet.jobs("owner:shop")),
        (keys.ended("failed"), lambda: led.fleet.jobs("status:failed")),
        (keys.OWNERS, led.fleet.jobs),
        (keys.NODES, led.fleet.nodes),
        (keys.DELAYED, led.fleet.queue),
        (keys.BATCHES, led.fleet.batches),
    ):
        spoil_index(led, key)
        assert refused(call).key == key
        led.redis.delete(key)


def test_the_command_says_in_one_sentence_that_an_index_is_of_another_type(led, tmp_path):
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH))
    spoil_index(led, keys.JOBS)
    done = led.command("submit", str(tmp_path / "graph.json"))
    assert done.returncode == 3
    assert "comfyfleet:jobs is a list, not a sorted set" in done.stderr
    assert "comfyfleet:jobs lists no jobs" in led.command("check").stdout


def test_what_redis_refuses_to_read_is_never_taken_for_absent(led):
    """A user who may not read hashes stands for an outage in the middle of a pipeline."""
    job, ended = led.queued(owner="shop"), led.failed()
    batch = led.fleet.submit_many(GRAPH, seeds(2), name="night").id
    led.redis.execute_command(
        "ACL SETUSER odd reset on >p allkeys allchannels +@all -hmget -hgetall"
    )
    address = f"redis://odd:p@{led.settings.redis_url.rpartition('@')[2]}"
    try:
        with Producer(led.settings.model_copy(update={"redis_url": address})) as fleet:
            for call in (
                lambda: fleet.jobs("owner:shop node:gpu-01"),
                lambda: fleet.jobs("batch:night"),
                lambda: fleet.batch_jobs(batch).__next__(),
                lambda: fleet.get(job.id),
                lambda: fleet.get(ended.id),
                fleet.queue,
                lambda: (
                    Sweeps(fleet._redis, keep_ended=KEEP).row_packing(after=LEASE)._known(batch, 0)
                ),
            ):
                with pytest.raises(FleetUnreachable, match="refuses"):
                    call()
    finally:
        led.redis.acl_deluser("odd")


def test_pipelines_of_reads_are_run_by_the_one_function_that_tells_outages_apart():
    files = Path(producer.__file__).parent.rglob("*.py")
    found = [file.name for file in files if "raise_on_error=False" in file.read_text("utf-8")]
    assert found == ["connection.py"]
