"""Submitters of batches: what they may get wrong, what they come back to, and what stays in memory."""

from __future__ import annotations

import base64
import gc
import os
import sys
from contextlib import suppress
from datetime import timedelta

import pytest

from producer.batch.rows import Row
from producer.client import Producer
from producer.contract.batches import BatchState
from producer.contract.config.settings import Settings
from producer.contract.errors import BacklogFull, InvalidBatch, InvalidJob, InvalidRows
from producer.store import keys
from tests.graphs import picture
from tests.integration.batch_feeding import GRAPH, seeds

WITH_PICTURE = {**GRAPH, "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
WITH_TEXT = {**GRAPH, "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox"}}}


@pytest.fixture
def fleet(led):
    return led.fleet


def test_a_refused_submitter_leaves_alone_what_another_had_accepted(fleet):
    def slow_rows():
        yield from seeds(150)
        fleet.submit_many(GRAPH, seeds(300), idempotency_key="k")  # the client's retry is quicker
        yield {"2.nonce": "x"}

    with pytest.raises(
        InvalidRows, match="accepted before and stays as it is; 1 bad row"
    ) as caught:
        fleet.submit_many(GRAPH, slow_rows(), idempotency_key="k")
    [batch] = fleet.batches()
    assert (batch.id, batch.state, batch.counts.waiting) == (
        caught.value.accepted,
        BatchState.SEALED,
        300,
    )


def test_who_hands_in_again_what_is_no_good_now_is_told_that_it_was_accepted(fleet):
    def unreadable():
        yield from seeds(2)
        raise InvalidJob("line 3 is no UTF-8", field="rows")

    batch = fleet.submit_many(GRAPH, seeds(3), idempotency_key="k")
    with pytest.raises(InvalidBatch, match=rf"{batch.id} was accepted before .*: line 3 is no UTF"):
        fleet.submit_many(GRAPH, unreadable(), idempotency_key="k")
    assert fleet.batch(batch.id).counts.waiting == 3


def test_rows_that_were_not_let_in_come_in_later(redis_client, redis_server):
    with Producer(Settings(redis_url=redis_server.url, max_queued=2_500)) as fleet:
        others = fleet.submit_many(GRAPH, seeds(2_450))
        writer = fleet.open_batch(GRAPH)
        refused = 0
        for row in seeds(2_100):
            try:
                writer.add(row)
            except BacklogFull:
                refused += 1
        with pytest.raises(BacklogFull):
            writer.seal()
        fleet.cancel_batch(others.id)
        assert (
            refused == 2
        )  # with the 2,000th row and, since those still are to be sent, the 2,100th
        assert [writer.seal().rows for _ in range(2)] == [2_100, 2_100]
    assert int(redis_client.get(keys.WAITING)) == 2_100


def test_idempotency_keys_of_two_owners_never_meet(fleet):
    first = fleet.submit(GRAPH, owner="acme", idempotency_key="1")
    second = fleet.submit(GRAPH, owner="acme2", idempotency_key="1")
    assert (first.owner, second.owner) == ("acme", "acme2")
    assert first.id != second.id


@pytest.mark.parametrize("name", ["start_within", "run_within"])
@pytest.mark.parametrize("time", [timedelta(0), timedelta(seconds=-5), timedelta.max, 30])
def test_a_time_that_cannot_be_is_refused(fleet, name, time):
    for hand_in in (lambda **o: fleet.submit(GRAPH, **o), lambda **o: fleet.open_batch(GRAPH, **o)):
        with pytest.raises(
            InvalidJob, match=f"^{name} (is .* at most 315,360,000 s|must be)"
        ) as caught:
            hand_in(**{name: time})
        assert caught.value.field == name
    assert fleet.batches() == []


@pytest.mark.parametrize("name", ["name", "owner", "idempotency_key"])
def test_a_name_that_is_half_a_character_is_refused(fleet, name):
    with pytest.raises(InvalidJob, match=f"^{name} holds half a character") as caught:
        fleet.submit_many(GRAPH, seeds(1), **{name: "\ud800"})
    assert caught.value.field == name


def test_a_batch_that_cannot_be_read_hides_no_other(led, fleet):
    newer, broken, good = (fleet.submit_many(GRAPH, seeds(1)).id for _ in range(3))
    led.redis.hset(keys.batch(newer), "v", 99)
    led.redis.hset(keys.batch(broken), "start_by_ms", 10**15)
    assert [batch.id for batch in fleet.batches()] == [good]


@pytest.mark.parametrize(
    ("row", "column", "said"),
    [
        (None, None, "a row must be a mapping or a Row, not NoneType"),
        ([1], None, "a row must be a mapping or a Row, not list"),
        (Row(inputs=[1]), None, "the inputs of a row must be a mapping, not list"),
        ({2: 1}, None, "an address must be text, as in 6.text, not int"),
        ({"2.nonce": 10**5_000}, "2.nonce", "a whole number of more than 4,300 digits"),
        (Row({}, {"1.image": "node:"}, {"a": "\ud800"}), "metadata.a", "holds half a character"),
        (Row({}, {"1.image": None}), "1.image", "expected a path, .* not NoneType"),
        (Row({}, {"1.image": {"a": 1}}), "1.image", "has a; expected one of url, base64, upload"),
        (Row({}, {"1.image": "a\0b"}), "1.image", "cannot be read: embedded null byte"),
        (Row({}, {"1.image": "node:\ud800"}), "1.image", "holds half a character"),
    ],
)
def test_whatever_comes_as_a_row_is_a_bad_row_among_good_ones(fleet, row, column, said):
    skipped = []
    good = Row({}, {"1.image": "node:"})
    batch = fleet.submit_many(
        WITH_PICTURE, [good, row, good], skip_invalid=True, on_skipped=skipped.append
    )
    assert (batch.rows, batch.skipped) == (3, 1)
    [bad] = skipped
    assert (bad.row, bad.column) == (2, column)
    with pytest.raises(InvalidRows, match=said):
        fleet.submit_many(WITH_PICTURE, [good, row])


def test_results_of_a_status_that_there_is_not_are_refused(fleet):
    batch = fleet.submit_many(GRAPH, seeds(1))
    with pytest.raises(InvalidJob, match="there is no status 'bogus'; statuses are held, queued"):
        list(fleet.batch_jobs(batch.id, statuses=["bogus"]))


def test_large_rows_are_sent_before_they_are_many(fleet):
    writer = fleet.open_batch(WITH_TEXT)
    for _ in range(150):
        writer.add({"4.text": base64.b64encode(os.urandom(22_500)).decode()})
    assert fleet.batch(writer.id).rows == 100


def test_neither_files_nor_bad_rows_stay_in_memory(led_with_s3):
    content = picture()
    handed_in = Row({}, {"1.image": content})
    bad = Row({"3.images": ["9", 0]}, {"1.image": "node:"})
    before = [sys.getrefcount(kept) for kept in (content, bad)]
    writer = led_with_s3.fleet.open_batch(WITH_PICTURE)
    writer.add(handed_in)
    for _ in range(2):
        with suppress(InvalidJob):
            writer.add(bad)
    gc.collect()  # the S3 client leaves circles behind
    assert [sys.getrefcount(kept) for kept in (content, bad)] == before
