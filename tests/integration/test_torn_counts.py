"""A count that somebody has written over: jobs are accepted and end all the same, and a check counts anew."""

from __future__ import annotations

import pytest

from producer.checking.findings import Kind
from producer.contract.errors import KeyOfAnotherType
from producer.contract.ids import row_id
from producer.contract.jobs import JobStatus
from producer.store import keys
from tests.integration.batch_feeding import GRAPH, feed, seeds
from tests.integration.checks import assert_found_and_mended, check
from tests.integration.hand_led import hold

#: No number, too large a one, and such as Lua takes for one and Redis does not.
TORN = ("x", "9" * 20, "1e3")


@pytest.mark.parametrize("torn", TORN)
@pytest.mark.parametrize("field", ["waiting", "running", "gpu_ms", "moves"])
def test_jobs_of_an_owner_are_accepted_and_end_beside_a_torn_count_which_is_counted_anew(
    led, field, torn
):
    led.redis.hset(keys.owner("shop"), field, torn)
    led.fleet.limit_owner("shop", max_waiting=9)
    job = led.running(led.queued(owner="shop"))
    led.redis.hset(keys.job(job.id), "at:rendering", led.redis.time()[0] * 1000 - 9_000)
    led.store.commit(hold(job), artifacts=[], values={})
    assert led.fleet.get(job.id).status is JobStatus.SUCCEEDED
    led.fleet.retry(led.cancelled(led.queued(owner="shop")).id)
    if field == "moves":  # it tells changes apart, and has begun anew
        assert check(led) == []
        return
    shown = "gpu_seconds" if field == "gpu_ms" else field
    assert [one.torn for one in led.fleet.owners()] == [(shown,)]
    assert_found_and_mended(led, Kind.WRONG_COUNT, "shop")
    usage = led.fleet.owner("shop")
    assert (usage.waiting, usage.running, usage.torn) == (1, 0, ())
    assert usage.gpu_seconds == (0 if field == "gpu_ms" else pytest.approx(9, abs=2))


def test_a_torn_count_of_an_owner_is_told_by_the_command(led):
    led.queued(owner="shop")
    led.queued(owner="other")
    led.redis.hset(keys.owner("shop"), mapping={"waiting": "x", "moves": "x"})
    found = check(led)
    assert {finding.about for finding in found} == {"shop"}
    assert "owner shop counts 'x' jobs waiting; its records say 1" in {f.sentence for f in found}
    listed = led.command("owner", "list")
    assert "comfyfleet check --repair counts it anew" in listed.stderr
    assert listed.stdout.count("?") == 1
    assert {finding.mended for finding in check(led, repair=True)} == {True}
    assert check(led) == []


@pytest.fixture
def batch(led):
    batch = led.fleet.submit_many(GRAPH, seeds(3), owner="shop").id
    feed(led.fleet)
    return batch


@pytest.mark.parametrize("status", ["held", "queued", "running", "succeeded", "failed"])
def test_rows_end_beside_a_torn_count_and_their_batch_ends_once_it_is_counted_anew(
    led, batch, status
):
    torn = "x"
    led.redis.hset(keys.batch(batch), mapping={status: torn, "n": torn, "made_again": torn})
    jobs = [led.fleet.get(row_id(batch, row)) for row in (1, 2, 3)]
    led.failed(led.fleet.retry(led.failed(jobs[0]).id))
    for job in jobs[1:]:
        led.store.commit(hold(led.running(job)), artifacts=[], values={})
    assert led.fleet.get(jobs[1].id).status is JobStatus.SUCCEEDED
    with pytest.raises(KeyOfAnotherType, match="cannot be read") as caught:
        led.fleet.batch(batch)
    assert caught.value.key == keys.batch(batch)
    assert {finding.about for finding in check(led, repair=True)} == {batch}
    assert check(led) == []
    found = led.fleet.batch(batch)
    assert (found.counts.succeeded, found.counts.failed, found.done) == (2, 1, True)


@pytest.mark.parametrize("torn", TORN)
def test_a_torn_count_of_what_waits_refuses_nothing_and_is_counted_anew(led, torn):
    batch = led.fleet.submit_many(GRAPH, seeds(300), owner="shop").id
    led.redis.set(keys.WAITING, torn)
    led.redis.hset(keys.batch(batch), mapping={"waiting": torn, "edits": torn})
    with pytest.raises(KeyOfAnotherType, match="waiting is a text, not a number"):
        led.fleet.cancel_batch(batch)
    led.fleet.submit_many(GRAPH, seeds(2))
    led.queued(owner="shop")
    assert {finding.about for finding in check(led)} == {batch, keys.WAITING}
    assert all(finding.mended for finding in check(led, repair=True))
    assert check(led) == []
    assert led.fleet.batch(batch).counts.waiting == 300
    led.fleet.cancel_batch(batch)
    assert check(led) == []
    assert led.redis.get(keys.WAITING) == "2"


@pytest.mark.parametrize("field", ["received", "skipped", "buckets"])
def test_a_batch_that_is_torn_is_sealed_in_no_part(led, field):
    opened = led.fleet.open_batch(GRAPH, owner="shop")
    for row in seeds(100):
        opened.add(row)
    opened.flush()
    led.redis.hset(keys.batch(opened.id), field, "x")
    before = led.redis.hgetall(keys.batch(opened.id))
    with pytest.raises(KeyOfAnotherType, match=f"{field} is a text, not a number"):
        opened.seal()
    assert led.redis.hgetall(keys.batch(opened.id)) == before
    opened.discard()
    assert led.fleet.owner("shop").waiting == 0
    assert check(led) == []
