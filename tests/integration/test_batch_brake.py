"""The brake of a batch: once too many jobs have failed by their own fault, no further row begins."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.contract.errors import InvalidJob, KeyReused
from producer.contract.fleet_events import BatchEvent
from producer.contract.ids import row_id
from producer.contract.jobs import JobStatus
from producer.contract.max_failed import read_max_failed
from tests.integration.api_server import problem
from tests.integration.batch_feeding import GRAPH, feed, seeds


def handed_in(led, rows, **options):
    batch = led.fleet.submit_many(GRAPH, seeds(rows), **options)
    feed(led.fleet)
    return batch


def failing(led, batch, *rows, cause="execution_error"):
    for row in rows:
        led.failed(led.fleet.get(row_id(batch.id, row)), cause=cause)
    return led.fleet.batch(batch.id)


def status(led, batch, row):
    return led.fleet.get(row_id(batch.id, row)).status


@pytest.mark.parametrize(
    ("most", "rows", "limit"), [(2, 9, 2), ("2", 9, 2), ("25%", 10, 3), ("1%", 9, 1)]
)
def test_a_batch_is_held_once_as_many_have_failed_as_may(led, most, rows, limit):
    batch = handed_in(led, rows, max_failed=most)
    running = led.running(led.fleet.get(row_id(batch.id, rows)))
    found = failing(led, batch, *range(1, limit))
    assert (found.held, found.braked_at, found.max_failed) == (False, None, str(most))
    found = failing(led, batch, limit)
    assert found.held
    assert found.braked_at is not None
    assert found.braked_why == f"{limit} of {rows} jobs have failed; max_failed is {most}"
    feed(led.fleet)  # upkeep moves what waits
    assert status(led, batch, rows - 1) is JobStatus.HELD
    assert led.fleet.get(running.id).status is JobStatus.RUNNING
    events = [e for e in led.fleet.fleet_events(after="0-0") if isinstance(e, BatchEvent)]
    assert [event.type for event in events if event.type != "progress"] == ["sealed", "braked"]
    assert events[-1].reason == found.braked_why


def test_a_person_releases_it_and_it_counts_anew(led):
    batch = handed_in(led, 9, max_failed=2)
    failing(led, batch, 1, 2)
    feed(led.fleet)
    released = led.fleet.release_batch(batch.id)
    assert (released.held, released.braked_at, released.braked_why) == (False, None, None)
    feed(led.fleet)
    assert not failing(led, batch, 3).held
    assert failing(led, batch, 4).braked_why == "2 of 9 jobs have failed; max_failed is 2"
    led.fleet.cancel_batch(batch.id)
    feed(led.fleet)
    ended = led.fleet.batch(batch.id)
    assert (ended.done, ended.held, ended.braked_at) == (True, False, None)


def test_what_a_job_does_not_do_itself_brakes_nothing(led):
    batch = handed_in(led, 5, max_failed=1)
    assert not failing(led, batch, 1, cause="poison").held
    assert not failing(led, batch, 2, cause="fleet_fault").held
    led.fleet.cancel(row_id(batch.id, 3))
    assert not led.fleet.batch(batch.id).held
    assert failing(led, batch, 4, cause="out_of_memory").held


def test_the_last_failure_ends_a_batch_and_brakes_it_not(led):
    batch = handed_in(led, 2, max_failed=2)
    found = failing(led, batch, 1, 2)
    assert (found.done, found.held) == (True, False)


def test_without_a_limit_nothing_is_braked(led):
    batch = handed_in(led, 4)
    assert not failing(led, batch, 1, 2, 3).held
    assert led.fleet.batch(batch.id).max_failed is None


def test_a_key_stands_for_its_limit_too(led):
    batch = led.fleet.submit_many(GRAPH, seeds(2), idempotency_key="k", max_failed=1)
    again = led.fleet.submit_many(GRAPH, seeds(2), idempotency_key="k", max_failed=1)
    assert again.id == batch.id
    with pytest.raises(KeyReused):
        led.fleet.submit_many(GRAPH, seeds(2), idempotency_key="k", max_failed=2)


@pytest.mark.parametrize(
    "most",
    [
        0,
        -1,
        True,
        1.5,
        "0%",
        "101%",
        "5 %",
        "many",
        "1e3",
        "x" * 200,
        b"1",
        pytest.param(10**5000, id="huge"),
        "٣",
        "9" * 11,
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_in_a_sentence(most):
    with pytest.raises(
        InvalidJob, match=r"max_failed is .*; expected a number of jobs from 1"
    ) as caught:
        read_max_failed(most)
    assert caught.value.field == "max_failed"
    assert len(str(caught.value)) < 200


def test_a_limit_holds_for_a_batch_that_is_filled_in_parts(led):
    begun = led.fleet.begin_batch(GRAPH, max_failed="50%").batch
    led.fleet.add_rows(begun.id, seeds(4))
    led.fleet.seal_batch(begun.id)
    feed(led.fleet)
    assert not failing(led, begun, 1).held
    assert failing(led, begun, 2).held
    with led.fleet.open_batch(GRAPH, max_failed=1, start_within=timedelta(hours=1)) as writer:
        for row in seeds(2):
            writer.add(row)
    feed(led.fleet)
    assert failing(led, writer.seal(), 1).held


def test_over_http_a_limit_is_a_number_or_a_share(api):
    shop = api()
    for given in (7, "7", "2.5%"):
        made = shop.post("/v1/batches", {"graph": GRAPH, "max_failed": given})
        assert (made.status_code, made.json()["max_failed"]) == (201, str(given))
    for given in (0, True, 1.5, "many", "0%", ["5%"]):
        asked = shop.post("/v1/batches", {"graph": GRAPH, "max_failed": given})
        told = problem(asked, 422, "invalid-request")
        assert [flaw["pointer"] for flaw in told["errors"]] == ["#/max_failed"]
        assert told["detail"].endswith(
            "; expected a number of jobs from 1, or a share as 5%, up to 100%"
        )
