"""Batches from the producer's side: what is accepted, and what becomes of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from producer.aio import AsyncProducer
from producer.batch.rows import Row
from producer.client import Producer
from producer.contract.batches import BatchState
from producer.contract.config.settings import Settings
from producer.contract.errors import (
    BacklogFull,
    BatchNotFound,
    InvalidBatch,
    InvalidJob,
    InvalidRows,
    KeyReused,
    WaitTimeout,
)
from producer.contract.ids import row_id
from producer.contract.jobs import JobStatus
from producer.store import keys
from producer.upkeep.batch_feeder import WINDOW
from tests.graphs import sleeping
from tests.integration.batch_feeding import GRAPH, feed, seeds


@pytest.fixture
def fleet(led):
    return led.fleet


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
    graph["7"] = {"class_type": "VHS_SelectLatest", "inputs": {"filename_prefix": "v"}}
    graph["6"]["inputs"]["latest"] = ["7", 0]
    with pytest.raises(InvalidRows, match=r"row 2, column 7\.filename_prefix: .*leads out"):
        fleet.submit_many(graph, [{"7.filename_prefix": name} for name in ("a", "../b")])


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
                BacklogFull, match="50 jobs waiting already; the limit is 50"
            ) as caught:
                attempt()
            assert (caught.value.waiting, caught.value.limit) == (50, 50)
        assert len(fleet.batches()) == 1
        led.fleet.submit(GRAPH)  # another process may have another limit


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
    again = fleet.retry(row_id(batch.id, 250))
    assert (again.status, again.retry_of) == ("queued", row_id(batch.id, 250))


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


def test_the_same_for_asyncio(led):
    async def story():
        async with AsyncProducer(led.settings) as fleet:
            batch = await fleet.submit_many(GRAPH, seeds(3), name="night")
            assert [row async for row, _ in fleet.batch_jobs(batch.id)] == [1, 2, 3]
            assert [line["row"] async for line in fleet.batch_results(batch.id)] == [1, 2, 3]
            assert [text[:8] async for text in fleet.batch_result_lines(batch.id)][1] == '{"row":2'
            with pytest.raises(WaitTimeout, match=r"batch .* is still sealed, 3 jobs to go"):
                await fleet.wait_batch(batch.id, timeout=timedelta(0))
            assert (await fleet.hold_batch(batch.id)).held
            assert not (await fleet.release_batch(batch.id)).held
            assert await fleet.cancel_batch(batch.id) == "cancelled"
            assert (await fleet.wait_batch(batch.id)).counts.cancelled == 3
            assert [found.name for found in await fleet.batches()] == ["night"]

    asyncio.run(story())


@pytest.mark.writes_keys
def test_a_batch_whose_key_is_of_another_type_does_not_hide_the_others(led):
    broken, kept = (led.fleet.submit_many(GRAPH, seeds(1)).id for _ in range(2))
    led.redis.delete(keys.batch(broken))
    led.redis.set(keys.batch(broken), "no record")
    assert [batch.id for batch in led.fleet.batches()] == [kept]
    with pytest.raises(BatchNotFound):
        led.fleet.batch(broken)
