"""What a person does about jobs that have ended, and how a living fleet is looked over."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from producer.contract.errors import JobNotSucceeded
from tests.graphs import raising, sleeping

PATIENCE = timedelta(seconds=40)


def lines(done) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def dead_job(fleet):
    """The newest dead letter, whose error has more to say than a line."""
    with pytest.raises(JobNotSucceeded):
        fleet.wait(fleet.submit(raising(text="two lines\nand a\ttab")).id, timeout=PATIENCE)
    return fleet.dead_letters.list(1)[0].job


def test_a_dead_letter_is_listed_shown_and_redriven(comfyfleet, fleet, dead_job):
    listed = comfyfleet("dead", "list")
    row = listed.stdout.splitlines()[0].split("\t")
    assert (row[0], row[2]) == (dead_job.id, dead_job.cause)
    assert row[4] == " ".join(dead_job.error.message.split())
    assert dead_job.cause in listed.stderr  # where causes are counted
    shown = comfyfleet("dead", "show", dead_job.id)
    assert f"failed ({dead_job.cause})" in shown.stdout
    assert f"comfyfleet dead redrive {dead_job.id}" in shown.stderr

    [new] = lines(comfyfleet("dead", "redrive", dead_job.id, "--json"))
    assert new["retry_of"] == dead_job.id
    assert any(event.node for event in fleet.stream(new["job"], timeout=PATIENCE))  # it runs
    fleet.cancel(new["job"])
    # The new one may have failed before it could be cancelled, and is listed then as the retry of the old one.
    assert dead_job.id not in {one["id"] for one in lines(comfyfleet("dead", "list", "--json"))}


def test_a_cancelled_job_is_retried_and_runs(comfyfleet, fleet):
    job = fleet.submit(sleeping(60))
    live = comfyfleet("job", "retry", job.id)
    assert live.returncode == 4
    assert "only an ended job can be made again" in live.stderr
    fleet.cancel(job.id)
    with pytest.raises(JobNotSucceeded):
        fleet.wait(job.id, timeout=PATIENCE)
    retried = comfyfleet("job", "retry", job.id, "--tier", "rush")
    new = fleet.get(retried.stdout.strip())
    assert (new.retry_of, new.tier) == (job.id, "rush")
    assert comfyfleet("job", "retry", job.id).stdout.strip() == new.id
    fleet.cancel(new.id)


def test_a_living_fleet_is_as_its_records_say(comfyfleet, fleet):
    done = fleet.wait(fleet.submit(sleeping()).id, timeout=PATIENCE)
    running = fleet.submit(sleeping(60))
    checked = comfyfleet("check", "--objects", "--json")
    assert checked.returncode == 0, checked.stdout
    assert all(finding["note"] for finding in lines(checked)[:-1])
    verified = comfyfleet("verify", done.id)
    assert verified.returncode == 0, verified.stdout
    assert "1 artifact of 1 job" in verified.stderr
    assert comfyfleet("verify", "--all").returncode == 0
    too_soon = comfyfleet("verify", running.id, "--json")
    assert too_soon.returncode == 1
    assert lines(too_soon)[0]["kind"] == "not_succeeded"
    fleet.cancel(running.id)
