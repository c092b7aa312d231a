"""Batches from the producer's side, fed by hand: what is accepted, in which order it is served."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import timedelta

import pytest
import redis

from producer.aio import AsyncProducer
from producer.batch.feeder import FOOTHOLD, WINDOW, Feeder
from producer.batch.row_checks import Row
from producer.client import Producer
from producer.contract.batches import BatchState
from producer.contract.errors import (
    BacklogFull,
    BatchNotFound,
    FleetUnreachable,
    InvalidBatch,
    InvalidJob,
    InvalidRows,
    KeyReused,
    WaitTimeout,
)
from producer.contract.ids import new_batch_id, row_id, row_of
from producer.contract.jobs import JobStatus
from producer.contract.settings import Settings
from producer.dispatch import Dispatch, Message
from producer.store import keys
from producer.store.batch_feeds import BatchFeeds
from tests import servers
from tests.graphs import sleeping

GRAPH = sleeping(nonce=1)
QUEUE = "comfyfleet.pool.default.any"


@pytest.fixture
def fleet(led):
    return led.fleet


def seeds(count, first=1):
    return ({"2.nonce": seed} for seed in range(first, first + count))


def feed(fleet):
    """Do what upkeep does for batches in one sweep."""

    def wake(rows):
        fleet._dispatch.send_all(Message(r.id, 1, r.queue, r.tier.priority) for r in rows)

    feeds = BatchFeeds(fleet._redis, keep_ended=timedelta(days=7), lease=timedelta(seconds=15))
    Feeder(feeds, wake=wake, resend=fleet._wake_all).feed()


def messages(led, priority=6):
    """Return the jobs whose messages lie on the broker, the next one first."""
    found = led.redis.lrange(keys.message_list(QUEUE, priority), 0, -1)
    ids = [json.loads(message)["headers"]["id"] for message in found]
    return [keys.job_of_message(task_id) for task_id in reversed(ids)]


def take(led, count):
    """Let nodes take so many messages, and succeed."""
    for job_id in messages(led)[:count]:
        led.redis.rpop(keys.message_list(QUEUE, 6))
        led.store.cancel(job_id)


def test_rows_reach_the_queue_in_a_window_and_in_order(led, fleet):
    batch = fleet.submit_many(GRAPH, seeds(450), metadata={"night": "0412"})
    assert (batch.state, batch.counts.waiting) == (BatchState.SEALED, 450)
    feed(fleet)
    feed(fleet)
    assert messages(led) == [row_id(batch.id, row) for row in range(1, WINDOW + 1)]
    take(led, 30)
    feed(fleet)
    counts = fleet.batch(batch.id).counts
    assert (counts.waiting, counts.queued, counts.cancelled) == (220, WINDOW, 30)
    first, unfed = (fleet.get(row_id(batch.id, row)) for row in (200, 449))
    assert (first.params, unfed.params) == ({"2.nonce": 200}, {"2.nonce": 449})
    assert {first.metadata["night"], unfed.metadata["night"]} == {"0412"}
    assert (unfed.status, unfed.waiting_for, unfed.batch) == ("queued", "its_turn", batch.id)
    assert (first.created_at, first.start_deadline) == (unfed.created_at, unfed.start_deadline)


def test_batches_take_turns_and_a_late_one_gets_a_foothold(led, fleet):
    large = fleet.submit_many(GRAPH, seeds(2_000))
    feed(fleet)
    small = fleet.submit_many(GRAPH, seeds(30))
    feed(fleet)
    assert fleet.batch(small.id).counts.queued == FOOTHOLD
    take(led, WINDOW + FOOTHOLD)
    feed(fleet)
    shares = Counter(row_of(job)[0] for job in messages(led)[:40])
    assert shares[large.id] == shares[small.id] == 20


def test_a_batch_has_a_foothold_beside_a_crowd_of_single_jobs(led, fleet):
    for _ in range(WINDOW + 1):
        led.redis.zadd(keys.queued(QUEUE, 6), {f"crowd-{_}": 1})
    batch = fleet.submit_many(GRAPH, seeds(30))
    feed(fleet)
    assert fleet.batch(batch.id).counts.queued == FOOTHOLD


def test_one_bad_record_does_not_stop_other_batches(led, fleet, caplog):
    broken, newer, good = (fleet.submit_many(GRAPH, seeds(3)).id for _ in range(3))
    led.redis.hset(keys.batch(broken), "spec", "{")
    led.redis.hset(keys.batch(newer), "v", 99)
    feed(fleet)
    assert messages(led) == [row_id(good, row) for row in (1, 2, 3)]
    assert f"batch {broken} cannot be fed" in caplog.text


def test_bad_rows_are_named_and_none_is_accepted(fleet):
    rows = [
        {"2.nonce": 1},
        {"2.nonce": "x"},
        {"2.nonse": 2},
        Row({"2.nonce": 3}, metadata={"a": 1}),
    ]
    with pytest.raises(InvalidRows) as caught:
        fleet.submit_many(GRAPH, rows, idempotency_key="k")
    assert [(row.row, row.column) for row in caught.value.rows] == [
        (2, "2.nonce"),
        (3, "2.nonse"),
        (4, "metadata.a"),
    ]
    assert 'it holds a number, so it takes a number; got "x"' in str(caught.value)
    assert "did you mean 2.nonce" in str(caught.value)
    assert fleet.batches() == []
    assert fleet.submit_many(GRAPH, seeds(3), idempotency_key="k").rows == 3  # the key is free


def test_invalid_rows_can_be_left_out_and_the_others_keep_their_numbers(fleet):
    skipped = []
    rows = [{"2.nonce": "x"}, {"2.nonce": 2}, {"2.nonce": None}, {"2.nonce": 4}]
    batch = fleet.submit_many(GRAPH, rows, skip_invalid=True, on_skipped=skipped.append)
    assert (batch.rows, batch.skipped, batch.counts.waiting) == (4, 2, 2)
    assert [row.row for row in skipped] == [1, 3]
    feed(fleet)
    jobs = dict(fleet.batch_jobs(batch.id))
    assert {row: job.params["2.nonce"] for row, job in jobs.items()} == {2: 2, 4: 4}
    assert fleet.batch(batch.id).counts.queued == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"graph": "{}"}, "graph"),
        ({"params": {"9.x": 1}}, "address '9.x'"),
        ({"tier": "soon"}, "there is no tier 'soon'"),
        ({"rows": []}, "there are no rows"),
        (
            {"graph": {**GRAPH, "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}},
            "not handed in",
        ),
    ],
)
def test_what_all_rows_share_is_refused_at_once(fleet, options, said):
    with pytest.raises(InvalidJob, match=said) as caught:
        fleet.submit_many(**{"graph": GRAPH, "rows": seeds(3), **options})
    assert not isinstance(caught.value, InvalidRows)
    assert fleet.batches() == []


def test_a_row_may_choose_another_model_and_so_another_queue(fleet):
    graph = {
        **GRAPH,
        "5": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        "6": {"class_type": "VAESave", "inputs": {"vae": ["5", 2], "filename_prefix": "v"}},
    }
    rows = [{"5.ckpt_name": f"{name}.safetensors", "6.filename_prefix": name} for name in "aba"]
    batch = fleet.submit_many(graph, rows)
    first, second, third = (job.queue for _, job in fleet.batch_jobs(batch.id))
    assert first == third != second
    feed(fleet)
    assert [job.queue for _, job in fleet.batch_jobs(batch.id)] == [first, second, third]
    with pytest.raises(InvalidRows, match=r"row 2, column 6\.filename_prefix: .*leads out"):
        fleet.submit_many(graph, [{"6.filename_prefix": name} for name in ("a", "../b")])


def test_who_was_interrupted_goes_on_by_the_key(fleet):
    def breaking(rows, after):
        for number, row in enumerate(rows):
            if number == after:
                raise ConnectionError("as a kill would")
            yield row

    with pytest.raises(ConnectionError):
        fleet.submit_many(GRAPH, breaking(seeds(5_000), 4_321), idempotency_key="night")
    [left] = fleet.batches()
    assert (left.state, left.rows) == (BatchState.OPEN, 4_000)
    with pytest.raises(InvalidBatch, match="differ from those"):
        fleet.submit_many(GRAPH, seeds(5_000, first=2), idempotency_key="night")
    assert fleet.batches() == []  # whose rows are refused has nothing to go on with
    with pytest.raises(ConnectionError):
        fleet.submit_many(GRAPH, breaking(seeds(5_000), 4_321), idempotency_key="night")
    batch = fleet.submit_many(GRAPH, seeds(5_000), idempotency_key="night")
    assert (batch.state, batch.rows, batch.counts.waiting) == (BatchState.SEALED, 5_000, 5_000)
    feed(fleet)
    again = fleet.submit_many(GRAPH, seeds(5_000), idempotency_key="night")
    assert (again.id, again.counts.queued) == (batch.id, WINDOW)
    with pytest.raises(InvalidBatch, match="differ from those"):
        fleet.submit_many(GRAPH, seeds(4_999), idempotency_key="night")
    with pytest.raises(KeyReused):
        fleet.submit_many(sleeping(nonce=2), seeds(5_000), idempotency_key="night")


def test_a_batch_is_filled_bit_by_bit(fleet):
    def fill():
        with fleet.open_batch(GRAPH, idempotency_key="k") as writer:
            for row in seeds(2_150):
                writer.add(row)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill()
    with fleet.open_batch(GRAPH, idempotency_key="k") as writer:
        assert writer.received == 2_000
        for row in seeds(170, first=2_001):
            writer.add(row)
    batch = fleet.batch(writer.id)
    assert (batch.rows, batch.state) == (2_170, BatchState.SEALED)
    assert fleet.get(row_id(batch.id, 2_170)).params == {"2.nonce": 2_170}


def test_a_full_backlog_says_how_many_wait(led, redis_server):
    settings = Settings(redis_url=redis_server.url, max_queued=50)
    with Producer(settings) as fleet:
        fleet.submit_many(GRAPH, seeds(40))
        for _ in range(10):
            fleet.submit(GRAPH)
        feed(fleet)
        for attempt in (lambda: fleet.submit(GRAPH), lambda: fleet.submit_many(GRAPH, seeds(1))):
            with pytest.raises(
                BacklogFull, match="50 jobs wait already; the limit is 50"
            ) as caught:
                attempt()
            assert (caught.value.waiting, caught.value.limit) == (50, 50)
        assert len(fleet.batches()) == 1
        led.fleet.submit(GRAPH)  # another process may have another limit


def test_a_held_batch_waits_and_a_released_one_goes_on(led, fleet):
    batch = fleet.submit_many(GRAPH, seeds(300))
    feed(fleet)
    running = led.running(fleet.get(row_id(batch.id, 1)))
    assert fleet.hold_batch(batch.id).counts.held == WINDOW - 1
    led.redis.delete(keys.message_list(QUEUE, 6))  # workers drop them: nothing is to be claimed
    feed(fleet)
    held = fleet.batch(batch.id)
    assert (held.held, held.counts.running, held.counts.waiting) == (True, 1, 100)
    assert {fleet.get(row_id(batch.id, row)).status for row in (2, 300)} == {JobStatus.HELD}
    assert fleet.get(running.id).status is JobStatus.RUNNING
    assert fleet.release_batch(batch.id).counts.queued == WINDOW - 1
    feed(fleet)
    assert len(messages(led)) == WINDOW
    assert fleet.batch(batch.id).counts.waiting == 99


def test_a_cancelled_batch_ends_at_once(led, fleet):
    batch = fleet.submit_many(GRAPH, seeds(300))
    feed(fleet)
    led.running(fleet.get(row_id(batch.id, 1)))
    assert fleet.cancel(row_id(batch.id, 300)).value == "cancelled"
    assert fleet.cancel_batch(batch.id) == "cancelled"
    counts = fleet.batch(batch.id).counts
    assert (counts.running, counts.cancelled, counts.ended) == (1, 299, 299)
    assert fleet.get(row_id(batch.id, 1)).cancel_requested
    assert fleet.get(row_id(batch.id, 250)).cause == "cancelled"
    feed(fleet)
    assert led.redis.zcard(keys.FEEDING) == 0
    with pytest.raises(InvalidJob, match="cancelled with its batch, before it reached"):
        fleet.retry(row_id(batch.id, 250))


def test_what_is_made_again_of_a_cancelled_batch_may_live(fleet):
    batch = fleet.submit_many(GRAPH, seeds(3))
    feed(fleet)
    fleet.cancel_batch(batch.id)
    assert fleet.batch(batch.id).done
    again = fleet.retry(row_id(batch.id, 2))
    feed(fleet)
    assert fleet.get(again.id).status is JobStatus.QUEUED
    assert fleet.get(row_id(batch.id, 2)).retried_as == again.id
    assert [job.id for row, job in fleet.batch_jobs(batch.id) if row == 2] == [again.id]
    assert not fleet.batch(batch.id).done


def test_rows_that_nobody_started_in_time_expire(fleet):
    batch = fleet.submit_many(GRAPH, seeds(250), start_within=timedelta(milliseconds=1))
    feed(fleet)
    found = fleet.batch(batch.id)
    assert (found.done, found.counts.expired) == (True, 250)
    assert fleet.get(row_id(batch.id, 7)).cause == "start_deadline"


def test_an_open_batch_is_not_there_yet_and_leaves_nothing_when_cancelled(led, fleet):
    writer = fleet.open_batch(GRAPH)
    for row in seeds(2_000):
        writer.add(row)
    with pytest.raises(InvalidJob, match="still open"):
        list(fleet.batch_jobs(writer.id))
    with pytest.raises(InvalidJob, match="still open"):
        fleet.hold_batch(writer.id)
    assert fleet.cancel_batch(writer.id) == "discarded"
    with pytest.raises(BatchNotFound):
        writer.seal()
    assert not list(led.redis.scan_iter(f"{keys.BATCH}*"))


def test_a_single_job_is_held_and_released(led, fleet):
    job = fleet.submit(GRAPH)
    assert fleet.hold(job.id).status is JobStatus.HELD
    assert (
        led.store.claim(
            job.id,
            attempt=1,
            node="n",
            worker="w",
            lease=timedelta(seconds=9),
            prompt_id=job.id,
        )
        is None
    )
    assert fleet.release(job.id).status is JobStatus.QUEUED
    with pytest.raises(InvalidJob, match="is running; only one that waits can be held"):
        fleet.hold(led.running(fleet.get(job.id)).id)


def test_messages_for_many_that_a_full_broker_does_not_take_are_our_error(services, tmp_path):
    server = servers.start_redis(services, tmp_path / "full")
    dispatch = Dispatch(Settings(redis_url=server.url))
    some = [Message(row_id(new_batch_id(), row), 1, QUEUE, 6) for row in (1, 2)]
    dispatch.send_all(some)
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(FleetUnreachable, match="did not take a message"):
            dispatch.send_all(some)
        client.config_set("maxmemory", 0)
    dispatch.send_all(some)


def test_a_row_that_was_cancelled_after_the_look_is_not_fed(led, fleet):
    batch = fleet.submit_many(GRAPH, seeds(3)).id
    feeds = BatchFeeds(fleet._redis, keep_ended=timedelta(days=7), lease=timedelta(seconds=15))
    [record] = feeds.in_turn()
    rows = feeds.next_rows(record)
    fleet.cancel(row_id(batch, 1))
    led.redis.delete(keys.job(row_id(batch, 1)))  # as if it had expired since
    assert feeds.feed(record, rows) == []
    feed(fleet)
    assert messages(led) == [row_id(batch, 2), row_id(batch, 3)]


def test_the_same_for_asyncio(led):
    async def story():
        async with AsyncProducer(led.settings) as fleet:
            batch = await fleet.submit_many(GRAPH, seeds(3), name="night")
            assert [row async for row, _ in fleet.batch_jobs(batch.id)] == [1, 2, 3]
            with pytest.raises(WaitTimeout, match=r"batch .* is still sealed, 3 jobs to go"):
                await fleet.wait_batch(batch.id, timeout=timedelta(0))
            assert (await fleet.hold_batch(batch.id)).held
            assert not (await fleet.release_batch(batch.id)).held
            assert await fleet.cancel_batch(batch.id) == "cancelled"
            assert (await fleet.wait_batch(batch.id)).counts.cancelled == 3
            assert [found.name for found in await fleet.batches()] == ["night"]

    asyncio.run(story())
