"""An attempt's story: when it was claimed, how long it rendered and what it failed of, kept in the record."""

from __future__ import annotations

from datetime import timedelta

import pytest

from producer.contract.jobs import Attempt, JobError, Phase
from tests.integration.clocked_fleet import LEASE, ClockedFleet

FAULT = JobError(cause="execution_error", message='it said "no {way}"', node="gpu-01")


@pytest.fixture
def fleet(redis_client):
    return ClockedFleet(redis_client)


def failed(fleet, hold, *, again, **options):
    if again:
        fleet.store.requeue(
            hold.job_id,
            attempt=hold.attempt,
            worker=options.pop("worker", hold.worker),
            error=FAULT,
            charged=True,
            **options,
        )
    else:
        fleet.store.fail(hold, FAULT, charged=True, dead=True, **options)
    return fleet.store.get(hold.job_id).attempts[-1]


@pytest.mark.parametrize("again", [True, False], ids=["tried again", "failed"])
def test_a_failed_attempt_tells_when_it_began_and_how_long_it_rendered(fleet, again):
    began = fleet.now
    hold = fleet.rendering()
    fleet.pass_s(12)
    story = failed(fleet, hold, again=again, fingerprint="KSampler RuntimeError: no")
    assert (story.started_ms, story.render_ms) == (began, 12_000)
    assert (story.fingerprint, story.error, story.node) == (
        "KSampler RuntimeError: no",
        FAULT,
        "gpu-01",
    )


@pytest.mark.parametrize("again", [True, False], ids=["tried again", "failed"])
def test_fetching_and_storing_are_no_rendering(fleet, again):
    hold = fleet.rendering()
    fleet.pass_s(12)
    fleet.store.note(hold, phase=Phase.FETCHING)
    fleet.pass_s(60)
    assert failed(fleet, hold, again=again).render_ms == 12_000


def test_one_that_never_came_to_render_has_no_time_of_it(fleet):
    hold = fleet.claimed()
    story = failed(fleet, hold, again=True)
    assert (story.started_ms, story.render_ms, story.fingerprint) == (fleet.now, None, None)


def test_each_attempt_has_its_own_story(fleet):
    hold = fleet.rendering()
    fleet.pass_s(12)
    first = failed(fleet, hold, again=True)
    second = failed(fleet, fleet.claimed_again(hold), again=False)
    assert fleet.store.get(hold.job_id).attempts == [first, second]
    assert second.started_ms == fleet.now
    assert second.render_ms is None


def test_upkeep_tells_the_story_of_an_attempt_whose_worker_died(fleet):
    hold = fleet.rendering()
    fleet.pass_s(LEASE.total_seconds() + 1)
    story = failed(fleet, hold, again=True, worker=None, fingerprint="LeaseLapsed: silent")
    assert story.render_ms == (LEASE + timedelta(seconds=1)) / timedelta(milliseconds=1)
    assert story.fingerprint == "LeaseLapsed: silent"


def test_stories_of_the_version_before_are_read():
    old = '{"number":1,"node":null,"charged":true,"error":{"cause":"stall","message":"x"},"ended_at":"2026-11-01T00:00:00Z"}'
    story = Attempt.model_validate_json(old)
    assert (story.started_ms, story.render_ms, story.fingerprint) == (None, None, None)
