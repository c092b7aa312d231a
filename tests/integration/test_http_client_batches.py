"""The client of the HTTP API hands batches in as the library does, in parts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.batch.rows import Row
from producer.contract.cancel_outcomes import BatchCancelled
from producer.contract.errors import (
    InvalidBatch,
    InvalidJob,
    InvalidRows,
    WaitTimeout,
)
from tests.integration.api_server import GRAPH
from tests.integration.both_clients import seen

SOON = timedelta(seconds=20)


def test_batches_come_in_parts_and_are_led_alike(both, led):
    rows = [{"3.color": number} for number in range(201)] + [Row({"3.color": 7}, {}, {"a": "b"})]
    counts: dict[int, list[int]] = {0: [], 1: []}
    made = [
        fleet.submit_many(
            GRAPH,
            iter(rows),
            name="night",
            params={"3.width": 32},
            hook="",
            on_progress=counts[n].append,
        )
        for n, fleet in enumerate(both)
    ]
    assert made[0].model_dump(exclude=BATCH_OWN) == made[1].model_dump(exclude=BATCH_OWN)
    jobs = [[(row, seen(job)) for row, job in both[1].batch_jobs(batch.id)] for batch in made]
    assert jobs[0] == jobs[1] == [(row, seen(job)) for row, job in led.fleet.batch_jobs(made[1].id)]
    assert len(jobs[0]) == 202
    assert list(both[1].batch_jobs(made[1].id, statuses=["failed"])) == []
    batch = made[1].id
    assert both[1].hold_batch(batch) == led.fleet.batch(batch)
    assert both[1].release_batch(batch).held is False
    assert [found.id for found in both[1].batches()] == [found.id for found in both[0].batches()]
    with pytest.raises(WaitTimeout):
        both[1].wait_batch(batch, timeout=timedelta(0))
    assert both[1].cancel_batch(batch) is BatchCancelled.CANCELLED
    assert both[1].wait_batch(batch, timeout=SOON).counts.cancelled == 202


#: Rows of which some are bad: here, at the API, and as a whole.
BAD = [{"3.color": 1}, {"3.colour": 2}, {"3.color": float("nan")}, InvalidJob("it is torn", field="params."), {"3.color": 5}]  # fmt: skip
BATCH_OWN = {"id", "created_at", "sealed_at", "start_deadline", "idempotency_key"}


def test_rows_that_are_left_out_are_told_alike(both):
    told = {0: [], 1: []}
    for n, fleet in enumerate(both):
        fleet.submit_many(GRAPH, BAD, skip_invalid=True, on_skipped=told[n].append)
    assert [(row.row, row.column) for row in told[0]] == [(row.row, row.column) for row in told[1]]
    assert [row.row for row in told[0]] == [2, 3, 4]
    assert told[0][2] == told[1][2]


def test_an_interrupted_batch_goes_on_and_a_refused_one_leaves_nothing(both, led):
    remote = both[1]

    def torn():
        yield from ({"3.color": number} for number in range(5_000))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remote.submit_many(GRAPH, torn(), idempotency_key="night")
    assert [(found.rows, found.sealed_at) for found in remote.batches()] == [(5_000, None)]
    rows = [{"3.color": number} for number in range(5_001)]
    batch = remote.submit_many(GRAPH, rows, idempotency_key="night")
    assert (batch.rows, batch.sealed_at is not None) == (5_001, True)
    assert remote.submit_many(GRAPH, rows, idempotency_key="night").id == batch.id
    with pytest.raises(InvalidBatch, match="5,001 rows, and stays as it is; 3 came now"):
        remote.submit_many(GRAPH, rows[:3], idempotency_key="night")
    for key in (None, "other"):
        with pytest.raises(InvalidRows):
            remote.submit_many(GRAPH, BAD, idempotency_key=key)
    with pytest.raises(KeyboardInterrupt):
        remote.submit_many(GRAPH, torn())
    assert [found.id for found in remote.batches()] == [batch.id]
    assert [found.id for found in led.fleet.batches()] == [batch.id]
