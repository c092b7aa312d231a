"""Whose a job is stands in its record and in each of its events; older records are read alike."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from producer.checking.findings import Kind
from producer.contract.errors import InvalidJob, OwnerBacklogFull
from producer.contract.jobs import JobError
from producer.contract.owners import OwnerUsage
from producer.store import keys
from tests.integration.checks import assert_found_and_mended, check
from tests.integration.hand_led import WORKER, hold

GRAPH = {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}


def events_of(led, job):
    return [entry for _, entry in led.redis.xrange(keys.EVENTS) if entry["job"] == job.id]


def test_the_owner_stands_in_record_and_events(led):
    job = led.failed(led.queued(owner="shop"))
    assert led.fleet.get(job.id).owner == "shop"
    assert led.redis.hget(keys.job(job.id), "owner") == "shop"
    assert [entry["owner"] for entry in events_of(led, job)] == ["shop"] * 3
    assert {event.owner for event in led.fleet.events(after="0")} == {"shop"}
    assert led.fleet.retry(job.id).owner == "shop"


def test_a_job_without_an_owner_costs_no_field(led):
    job = led.queued()
    assert not led.redis.hexists(keys.job(job.id), "owner")
    assert [entry.get("owner") for entry in events_of(led, job)] == [None]
    assert led.fleet.get(job.id).owner == ""


def test_a_record_of_the_version_before_keeps_its_owner(led):
    job = led.queued(owner="shop")
    led.redis.hdel(keys.job(job.id), "owner")
    assert led.fleet.get(job.id).owner == "shop"
    spec = json.loads(led.redis.hget(keys.job(job.id), "spec"))
    assert spec["owner"] == "shop", "readers of the version before look there"


def test_rows_have_the_owner_of_their_batch(led):
    batch = led.fleet.submit_many(
        {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}, [{}], owner="shop"
    )
    assert [job.owner for _, job in led.fleet.batch_jobs(batch.id)] == ["shop"]


def test_an_owner_that_reads_like_a_pattern_is_a_name_like_any_other(led):
    led.queued(owner="shop")
    for owner in ("*", "[a-z]?", "漢字", "a\\b", "{}", "%s", "'shop'", '"x"'):
        job = led.queued(owner=owner)
        quoted = owner.replace("\\", "\\\\").replace('"', '\\"')
        assert [found.id for found in led.fleet.jobs(f'owner:"{quoted}"').jobs] == [job.id]
        assert led.fleet.owner(owner) == OwnerUsage(owner=owner, waiting=1)
    assert check(led) == []


# -- what an owner has, and has used


def counted(led, owner="shop"):
    found = led.fleet.owner(owner)
    return found.waiting, found.running


def test_what_an_owner_has_waiting_and_running_is_counted_as_it_moves(led):
    job, other = led.queued(owner="shop"), led.queued(owner="shop")
    led.queued()
    assert counted(led) == (2, 0)
    led.fleet.hold(other.id)
    led.running(job)
    assert counted(led) == (1, 1)
    led.store.end_cancelled(hold(job))
    assert counted(led) == (1, 0)
    led.fleet.retry(job.id)
    assert counted(led) == (2, 0)
    led.fleet.cancel(other.id)
    assert counted(led) == (1, 0)
    assert led.fleet.owner("nobody") == OwnerUsage(owner="nobody")
    assert check(led) == []


def test_rows_of_batches_count_for_their_owner_from_the_seal_on(led):
    rows = [{"1.source": str(number)} for number in range(7)]
    graph = {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}
    batch = led.fleet.submit_many(graph, rows, owner="shop")
    assert counted(led) == (7, 0)
    [first, *_] = [job.id for _, job in led.fleet.batch_jobs(batch.id)]
    led.fleet.cancel(first)
    assert counted(led) == (6, 0)
    assert check(led) == []
    led.fleet.cancel_batch(batch.id)
    assert counted(led) == (0, 0)


def test_the_seconds_of_all_attempts_are_charged(led):
    job = led.running(led.queued(owner="shop"))
    now = led.redis.time()[0] * 1000
    led.redis.hset(keys.job(job.id), mapping={"at:rendering": now - 9_000, "at:fetching": now})
    error = JobError(cause="node_fault", message="the node went away", node="gpu-01")
    led.store.requeue(job.id, attempt=1, worker=WORKER, error=error, charged=True)
    job = led.running(led.fleet.get(job.id))
    led.redis.hset(keys.job(job.id), mapping={"at:rendering": now - 500, "at:fetching": now})
    led.store.commit(hold(job), artifacts=[], values={})
    assert led.fleet.owner("shop").gpu_seconds == 9.5


@pytest.mark.parametrize("field", ["waiting", "running"])
def test_a_wrong_count_of_an_owner_is_found_and_set_right(led, field):
    led.running(led.queued(owner="shop"))
    led.queued(owner="shop")
    led.redis.hincrby(keys.owner("shop"), field, 3)
    assert_found_and_mended(led, Kind.WRONG_COUNT, "shop")
    assert counted(led) == (1, 1)


def test_counts_that_are_gone_are_made_again(led):
    led.queued(owner="shop")
    led.redis.delete(keys.owner("shop"))
    assert_found_and_mended(led, Kind.WRONG_COUNT, "shop")
    assert counted(led) == (1, 0)
    assert led.redis.ttl(keys.owner("shop")) > 0


@pytest.mark.parametrize("name", ["", "a:b", "a b", "x" * 65])
def test_a_name_that_no_owner_can_have_is_refused(led, name):
    with pytest.raises(InvalidJob, match=r"^owner ") as caught:
        led.fleet.owner(name)
    assert caught.value.field == "owner"


# -- what an owner may have waiting


def refused(call):
    with pytest.raises(OwnerBacklogFull) as caught:
        call()
    return caught.value


def test_what_an_owner_may_have_waiting_is_kept_for_jobs_retries_and_batches(led):
    running, failed = led.running(led.queued(owner="shop")), led.failed(led.queued(owner="shop"))
    led.fleet.limit_owner("shop", max_waiting=2)
    submit = partial(led.fleet.submit, GRAPH, owner="shop")
    first = submit(idempotency_key="k")
    led.fleet.hold(submit().id)
    for call in (submit, lambda: led.fleet.retry(failed.id), lambda: submit_many(led, 1)):
        error = refused(call)
        assert (error.owner, error.waiting, error.limit) == ("shop", 2, 2)
        assert error.message == "owner shop has 2 jobs waiting; its limit is 2"
    assert submit(idempotency_key="k").id == first.id, "a replay hands in nothing"
    led.fleet.submit(GRAPH, owner="other")
    led.fleet.submit(GRAPH)
    error = JobError(cause="node_fault", message="away", node="gpu-01")
    led.store.requeue(running.id, attempt=1, worker=WORKER, error=error, charged=True)
    assert counted(led) == (3, 0), "what runs may always wait again"

    led.fleet.limit_owner("shop", max_waiting=8)
    assert refused(lambda: submit_many(led, 6)).waiting == 3
    submit_many(led, 4)
    assert led.fleet.retry(failed.id).owner == "shop"
    assert refused(submit).waiting == 8
    assert led.fleet.owner("shop").max_waiting == 8
    led.fleet.limit_owner("shop", max_waiting=0)
    assert refused(submit).limit == 0
    assert led.fleet.limit_owner("shop", max_waiting=None).max_waiting is None
    submit()
    assert check(led) == []


def submit_many(led, count):
    rows = [{"1.source": str(number)} for number in range(count)]
    return led.fleet.submit_many(GRAPH, rows, owner="shop")


def test_an_open_batch_is_refused_by_the_bucket_that_is_too_much_and_by_its_seal(led):
    led.fleet.limit_owner("shop", max_waiting=150)
    rows = [{"1.source": str(number)} for number in range(1_200)]
    assert refused(lambda: led.fleet.submit_many(GRAPH, rows, owner="shop")).waiting == 0
    assert counted(led) == (0, 0)
    with led.fleet.open_batch(GRAPH, owner="shop") as writer:
        for row in rows[:150]:
            writer.add(row)
    assert counted(led) == (150, 0)


def test_of_many_who_submit_at_once_no_more_than_the_limit_are_accepted(led):
    led.fleet.limit_owner("shop", max_waiting=7)

    def submit(_):
        try:
            return bool(led.fleet.submit(GRAPH, owner="shop"))
        except OwnerBacklogFull:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(submit, range(24))) == 7
    assert counted(led) == (7, 0)


@pytest.mark.parametrize("limit", [-1, 10**9 + 1, True, 2.5, "7", 10**400])
def test_a_limit_that_is_no_count_is_refused(led, limit):
    with pytest.raises(InvalidJob, match=r"^max_waiting is .* expected a whole number") as caught:
        led.fleet.limit_owner("shop", max_waiting=limit)
    assert caught.value.field == "max_waiting"
    assert len(str(caught.value)) < 250


def test_a_torn_limit_limits_nothing_and_is_found(led):
    led.redis.hset(keys.OWNER_LIMITS, "shop", "many")
    led.fleet.submit(GRAPH, owner="shop")
    assert led.fleet.owner("shop").max_waiting is None
    assert_found_and_mended(led, Kind.TORN_WISH, "shop")


def test_every_owner_is_listed_with_its_limit(led):
    led.queued(owner="shop")
    led.fleet.submit_many(GRAPH, [{}], owner="night")
    led.fleet.limit_owner("idle", max_waiting=3)
    found = {one.owner: (one.waiting, one.max_waiting) for one in led.fleet.owners()}
    assert found == {"idle": (0, 3), "night": (1, None), "shop": (1, None)}
    assert "limit\t4" in led.command("owner", "limit", "shop", "--max-waiting", "4").stdout
    assert led.command("owner", "list").stdout.splitlines()[3] == "shop\t1\t4\t0\t0"
