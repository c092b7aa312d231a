"""What is to be told outside stands in the outbox from the step that ends it until it is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.checking.findings import Kind
from producer.contract.batches import BatchSpec
from producer.contract.errors import KeyReused
from producer.contract.ids import new_batch_id, new_job_id
from producer.contract.jobs import JobStatus
from producer.contract.queues import Needs, Tier
from producer.contract.submissions import Content, Submission
from producer.store import keys
from producer.store.batch_rows import Bucket
from producer.store.batch_store import BatchStore
from producer.store.outbox import Outbox
from producer.store.sweeps import Sweeps
from tests.integration.checks import assert_found_and_mended, check

SOON = timedelta(seconds=30)
NOW = timedelta(0)
GRAPH = {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}}


def asking(led, **fields):
    """Submit a job whose end somebody wants to hear."""
    submission = Submission(
        template="0" * 64,
        needs=Needs.of("default"),
        start_within=timedelta(hours=1),
        run_within=timedelta(hours=1),
        hook="shop",
        **fields,
    )
    led.store.add(submission, graph=b"{}")
    return led.fleet.get(submission.id)


def expired(led, job):
    led.redis.hset(keys.job(job.id), "start_by_ms", 1)
    led.redis.zadd(keys.DELAYED, {job.id: 1})
    Sweeps(led.redis, keep_ended=timedelta(days=1)).due()
    return led.fleet.get(job.id)


ENDS = {
    JobStatus.FAILED: lambda led, job: led.failed(job),
    JobStatus.CANCELLED: lambda led, job: led.cancelled(job),
    JobStatus.EXPIRED: expired,
}


def outbox(led) -> Outbox:
    return Outbox(led.redis)


@pytest.mark.parametrize("status", ENDS)
def test_each_end_that_somebody_wants_to_hear_is_taken_until_it_is_told(led, status):
    job = ENDS[status](led, asking(led))
    assert (job.status, job.hook) == (status, "shop")
    led.cancelled()  # nobody asked for that

    [end] = outbox(led).take_due(limit=10, within=NOW)
    assert (end.kind, end.id) == ("job", job.id)
    [again] = outbox(led).take_due(limit=10, within=SOON)  # who took it first has died
    assert outbox(led).take_due(limit=10, within=SOON) == []
    assert not outbox(led).done(end)
    assert outbox(led).done(again)
    assert led.redis.zcard(keys.OUTBOX) == 0
    assert check(led) == []


def test_what_is_tried_again_later_is_due_then(led):
    led.cancelled(asking(led))
    [end] = outbox(led).take_due(limit=10, within=SOON)
    assert outbox(led).later(end, wait=NOW)
    assert [again.id for again in outbox(led).take_due(limit=10, within=SOON)] == [end.id]


def test_a_job_that_is_made_again_is_told_of_too(led):
    failed = led.failed(asking(led))
    again = led.fleet.retry(failed.id)
    led.cancelled(again)
    told = [end.id for end in outbox(led).take_due(limit=10, within=SOON)]
    assert told == [failed.id, again.id]


def test_a_packed_record_knows_whether_its_end_was_told(led):
    ended = [led.cancelled(asking(led)) for _ in range(2)]
    sweeps = Sweeps(led.redis, keep_ended=timedelta(days=1))
    first, second = outbox(led).take_due(limit=10, within=SOON)
    assert outbox(led).done(first)
    assert sweeps.packing(after=NOW).pack() == 2
    assert outbox(led).done(second)
    assert [led.fleet.get(job.id).hook for job in ended] == ["shop", "shop"]
    assert check(led) == []


def test_whoever_submits_a_job_or_batch_says_which_webhook_is_told(led):
    for name in ("shop", "other"):
        led.fleet.webhooks.create(name, "https://shop.example/hook")
    job = led.fleet.submit(GRAPH, hook="shop", idempotency_key="k")
    assert led.fleet.submit(GRAPH, hook="shop", idempotency_key="k").id == job.id
    with pytest.raises(KeyReused):
        led.fleet.submit(GRAPH, hook="other", idempotency_key="k")
    batch = led.fleet.submit_many(GRAPH, [{}], hook="shop", idempotency_key="b")
    assert led.fleet.submit_many(GRAPH, [{}], hook="shop", idempotency_key="b").id == batch.id
    with pytest.raises(KeyReused):
        led.fleet.submit_many(GRAPH, [{}], hook="other", idempotency_key="b")

    led.fleet.cancel(job.id)
    led.fleet.cancel_batch(batch.id)
    due = outbox(led).take_due(limit=10, within=SOON)
    # Both may have ended within one millisecond; then the entry's name decides which goes first.
    assert {end.entry for end in due} == {f"job:{job.id}", f"batch:{batch.id}"}


def batch_of_one(led):
    """Seal a batch of one row, whose end somebody wants to hear."""
    spec = BatchSpec(
        template="0" * 64,
        tier=Tier.BATCH,
        pool="default",
        start_within_s=3600,
        run_within_s=3600,
        hook="shop",
    )
    batches = BatchStore(led.redis, keep_ended=timedelta(days=1))
    batch, _ = batches.open(new_batch_id(), spec, name="", key=None)
    last = Bucket(number=0, rows=1, before="", after="d", data=b"", skipped=0)
    batches.seal(
        batch, last, (Needs.of("default"),), rows=1, template="0" * 64, content=Content(b"{}")
    )
    return batch


def test_a_batch_is_told_of_when_it_finishes_and_when_it_does_so_anew(led):
    batch = batch_of_one(led)
    assert led.fleet.batch(batch).hook == "shop"
    assert outbox(led).take_due(limit=10, within=SOON) == []
    led.fleet.cancel_batch(batch)
    [end] = outbox(led).take_due(limit=10, within=SOON)
    assert (end.kind, end.id) == ("batch", batch)
    assert outbox(led).done(end)

    led.cancelled(led.of_batch(batch))  # it is open again, and ends
    assert [one.entry for one in outbox(led).take_due(limit=10, within=SOON)] == [end.entry]


def test_an_end_that_an_earlier_version_left_untold_is_found(led):
    job, batch = led.cancelled(asking(led)), batch_of_one(led)
    led.fleet.cancel_batch(batch)
    for entry, about in ((f"job:{job.id}", job.id), (f"batch:{batch}", batch)):
        led.redis.zrem(keys.OUTBOX, entry)
        assert_found_and_mended(led, Kind.NOT_TOLD, about)
        assert led.redis.zscore(keys.OUTBOX, entry)


def test_entries_of_which_nothing_is_to_be_told_are_taken_out(led):
    told = led.cancelled(asking(led))
    [end] = outbox(led).take_due(limit=10, within=SOON)
    outbox(led).done(end)
    others = (f"job:{asking(led).id}", f"job:{led.cancelled().id}", f"job:{new_job_id()}")
    for entry in (f"job:{told.id}", *others, f"batch:{new_batch_id()}", "nonsense", "node:gpu-01"):
        led.redis.zadd(keys.OUTBOX, {entry: 1})
        led.redis.expire(keys.OUTBOX, 60)
        assert_found_and_mended(led, Kind.STRAY_ENTRY, entry)
