"""Copies of what jobs made: put into another bucket of a real store, in the form that was asked for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.checking.findings import Kind
from producer.client import Producer
from producer.contract.deliver import CopyState
from producer.contract.errors import InvalidJob
from producer.contract.ids import row_id
from producer.contract.jobs import JobStatus
from producer.store import keys
from producer.store.copies import CopyQueue
from tests.integration.batch_feeding import GRAPH, feed, seeds
from tests.integration.checks import assert_found_and_mended, check
from tests.integration.ended_rows.rig import pack as pack_rows
from tests.integration.object_store.faulty_store import faulty_store
from tests.integration.object_store.providers import Refusal
from tests.integration.test_packing import pack
from worker.copies.ladder import MOST_TRIES

AWAY = Refusal(404, "NoSuchBucket")


def test_copies_are_made_after_the_commit_and_shown_on_the_job(shop):
    job = shop.led.succeeded(
        shop.led.queued(
            owner="ann", metadata={"order": "7"}, deliver={"to": shop.url("{owner}/{job}/{n}{ext}")}
        ),
        contents=(b"one", b"two"),
    )
    assert [(copy.state, copy.tries) for copy in job.copies] == [("waiting", 0)] * 2
    expected = [copy.key for copy in job.copies]
    shop.work()

    job = shop.led.fleet.get(job.id)
    assert [(copy.state, copy.tries, copy.error) for copy in job.copies] == [("done", 1, None)] * 2
    assert (
        [copy.key for copy in job.copies] == expected == [f"ann/{job.id}/{n}.png" for n in (0, 1)]
    )
    assert shop.keys() == set(expected)
    assert [shop.get(key) for key in expected] == [b"one", b"two"]
    told = shop.led.s3.head_object(Bucket=shop.bucket, Key=expected[0])
    assert (told["ContentType"], told["Metadata"]["order"]) == ("image/png", "7")
    assert check(shop.led) == []
    assert not shop.led.redis.exists(keys.COPIES)


def test_a_bucket_that_is_away_holds_up_no_job_and_gets_its_copy_later(shop):
    away = [True]

    def rule(request):
        return AWAY if away[0] and request.path.startswith(f"/{shop.bucket}/") else None

    with faulty_store(shop.led.settings.s3_endpoint_url, before=rule) as store:
        shop.copier = shop.with_settings(s3_endpoint_url=store.url)
        job = shop.made(b"a picture")
        assert job.status is JobStatus.SUCCEEDED
        [copy] = job.copies
        assert (copy.state, copy.tries) == ("waiting", 1)
        assert f"bucket {shop.bucket}" in copy.error
        assert "127.0.0.1" not in copy.error, "whoever named the bucket may read it"

        # What comes now is not tried at a bucket that was away a moment ago, so that other buckets' copies get on.
        [untried] = shop.made(b"another").copies
        assert (untried.state, untried.tries) == ("waiting", 0)

        away.clear()
        away.append(False)
        shop.hurry(job.id)
        shop.work()
        [copy] = shop.led.fleet.get(job.id).copies
        assert (copy.state, copy.tries, copy.error) == ("done", 2, None)
        assert shop.get(copy.key) == b"a picture"


def test_a_copy_is_given_up_after_some_days_with_the_reason(shop):
    shop.copier = shop.with_settings(deliver_buckets="")
    job = shop.made(b"a picture")
    for _ in range(MOST_TRIES + 2):
        shop.hurry(job.id)
        shop.work()
    [copy] = shop.led.fleet.get(job.id).copies
    assert (copy.state, copy.tries) == ("failed", MOST_TRIES)
    assert copy.error.startswith(
        f"given up after {MOST_TRIES} tries: this worker may not: deliver.to"
    )
    assert not shop.led.redis.exists(keys.COPIES)
    assert check(shop.led) == []


def test_what_a_worker_died_over_is_made_by_another(shop):
    job = shop.led.succeeded(shop.led.queued(deliver={"to": shop.url("{job}-{n}")}))
    dead = CopyQueue(shop.led.redis)
    taken = dead.take(within=timedelta(0))
    assert taken.job_id == job.id
    shop.work()
    assert shop.led.fleet.get(job.id).copies[0].state is CopyState.DONE
    assert not dead.settle(taken, [], wait=timedelta(seconds=1)), "its late word counts for nothing"
    assert shop.led.fleet.get(job.id).copies


def test_the_copy_of_a_row_that_was_made_again_is_not_put_over_that_of_the_new_job(shop):
    batch = shop.led.fleet.submit_many(
        GRAPH, seeds(1), deliver={"to": shop.url("{batch}/{row}-{n}")}
    )
    feed(shop.led.fleet)
    old = shop.led.succeeded(shop.led.fleet.get(row_id(batch.id, 1)), contents=[b"old"])
    new = shop.led.fleet.retry(old.id)
    assert (new.deliver, new.row) == (old.deliver, 1)
    new = shop.led.succeeded(new, contents=[b"new"])
    shop.hurry(new.id)  # before the old one's
    shop.work()
    [overtaken] = shop.led.fleet.get(old.id).copies
    assert (overtaken.state, overtaken.error) == (
        "failed",
        f"the job was made again as {new.id}, whose copies count",
    )
    assert overtaken.key == new.copies[0].key
    assert shop.get(overtaken.key) == b"new"


def test_a_batch_that_comes_in_parts_keeps_what_it_was_begun_with(shop):
    begun = shop.led.fleet.begin_batch(GRAPH, deliver={"to": shop.url("{batch}/{row}-{n}")})
    shop.led.fleet.add_rows(begun.batch.id, list(seeds(1)))
    assert shop.led.fleet.seal_batch(begun.batch.id).deliver == begun.batch.deliver


def test_rows_are_packed_once_their_copies_are_made(shop):
    batch = shop.led.fleet.submit_many(
        GRAPH, seeds(2), deliver={"to": shop.url("{batch}/{row}-{n}.png")}
    )
    assert batch.deliver.to == shop.url("{batch}/{row}-{n}.png")
    feed(shop.led.fleet)
    ids = [row_id(batch.id, row) for row in (1, 2)]
    shop.led.succeeded(shop.led.fleet.get(ids[0]))
    shop.led.failed(shop.led.fleet.get(ids[1]))
    assert pack_rows(shop.led) == 1  # the failed one
    assert check(shop.led) == []
    shop.work()
    assert pack_rows(shop.led) == 1
    assert not shop.led.redis.exists(keys.job(ids[0]))
    [copy] = shop.led.fleet.get(ids[0]).copies
    assert (copy.key, copy.state) == (f"{batch.id}/1-0.png", "done")
    lines = list(shop.led.fleet.batch_results(batch.id))
    assert [[copy["key"] for copy in line["copies"]] for line in lines] == [[copy.key], []]
    assert shop.get(copy.key) == b"a picture"


def test_what_comes_of_copies_is_noted_in_a_packed_record_too(shop):
    job = shop.led.succeeded(shop.led.queued(deliver={"to": shop.url("{job}-{n}")}))
    assert pack(shop.led) == 1
    shop.work()
    packed = shop.led.fleet.get(job.id)
    assert packed.copies[0].state is CopyState.DONE
    assert packed.artifacts == job.artifacts


def test_a_check_finds_copies_that_nobody_makes_and_what_is_listed_for_nothing(shop):
    job = shop.led.succeeded(shop.led.queued(deliver={"to": shop.url("{job}-{n}")}))
    shop.led.redis.delete(keys.COPIES)
    assert_found_and_mended(shop.led, Kind.NOT_COPIED, job.id)
    shop.work()
    assert shop.keys() == {f"{job.id}-0"}
    other = shop.led.succeeded()
    shop.led.redis.zadd(keys.COPIES, {other.id: 1})
    shop.led.redis.expire(keys.COPIES, 60)
    assert_found_and_mended(shop.led, Kind.STRAY_ENTRY, other.id)


def test_a_job_that_asks_for_copies_is_refused_by_what_is_wrong_and_by_its_key(shop):
    fleet: Producer = shop.led.fleet
    with pytest.raises(InvalidJob, match="does not list for copies"):
        shop.led.queued(deliver={"to": "s3://elsewhere/{job}-{n}"})
    with pytest.raises(InvalidJob, match=r"lacks \{batch\} and \{row\}"):
        fleet.submit_many(GRAPH, seeds(1), deliver={"to": shop.url("{n}")})
    wanted = {"to": shop.url("{job}-{n}")}
    first = fleet.submit(GRAPH, idempotency_key="k", deliver=wanted)
    assert fleet.submit(GRAPH, idempotency_key="k", deliver=wanted).id == first.id
    with pytest.raises(Exception, match="from another request"):
        fleet.submit(GRAPH, idempotency_key="k")


def test_workers_of_earlier_versions_leave_a_job_with_copies_alone(shop):
    job = shop.led.queued(deliver={"to": shop.url("{job}-{n}")})
    assert shop.led.redis.hget(keys.job(job.id), "v") == "3"
    assert shop.led.redis.hget(keys.job(shop.led.queued().id), "v") == "1"
