"""The fleet for a backend's tests: real records and files, led by hand, started in a moment."""

from __future__ import annotations

import time
from datetime import timedelta
from io import BytesIO

import pytest
from PIL import Image

from infra.testing import FleetForTests, running_fleet
from producer.client import Producer
from producer.contract.config.settings import load_settings
from producer.contract.errors import InvalidJob, JobNotSucceeded
from producer.contract.jobs import JobStatus, Phase
from tests.graphs import sleeping

GRAPH = sleeping()
SOON = timedelta(seconds=20)


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    began = time.monotonic()
    with running_fleet(tmp_path_factory.mktemp("kit")) as fleet:
        yield fleet, time.monotonic() - began


@pytest.fixture
def kit(started) -> FleetForTests:
    started[0].clear()
    return started[0]


def test_it_starts_in_a_moment(started, record_property):
    record_property("a fleet for tests starts within, s", round(started[1], 2))
    assert started[0].producer.jobs().jobs == []


def test_a_job_succeeds_with_pictures_that_can_be_fetched(kit):
    job = kit.producer.submit(GRAPH, metadata={"order": "7"})
    running = kit.progress(kit.start(job), 40)
    assert (running.status, running.phase, running.progress.percent) == (
        "running",
        Phase.RENDERING,
        40,
    )
    done = kit.finish(job.id, pictures=2, values={"2": {"text": ["a"]}})
    assert kit.producer.wait(job.id, timeout=SOON) == done
    assert (done.status, done.values) == (JobStatus.SUCCEEDED, {"2": {"text": ["a"]}})
    first, second = kit.pictures(done)
    assert first != second
    with Image.open(BytesIO(first)) as picture:
        assert picture.size == (done.artifacts[0].width, done.artifacts[0].height)
    own = kit.finish(kit.producer.submit(GRAPH), pictures=[first])
    assert kit.pictures(own.id) == [first]
    with pytest.raises(InvalidJob, match="is succeeded; only a queued one can begin"):
        kit.finish(done)


def test_a_job_fails_with_the_cause_that_is_wanted(kit):
    job = kit.producer.submit(GRAPH)
    failed = kit.fail(job, "out_of_memory", message="8 GB are too few", advice="take less")
    with pytest.raises(JobNotSucceeded, match="8 GB are too few") as caught:
        kit.producer.wait(job.id, timeout=SOON)
    assert caught.value.job == failed
    assert (failed.cause, failed.error.advice) == ("out_of_memory", "take less")
    with pytest.raises(InvalidJob, match="there is no cause 'bored'"):
        kit.fail(kit.producer.submit(GRAPH), "bored")


def test_rows_of_a_batch_are_led_one_by_one(kit):
    batch = kit.producer.submit_many(GRAPH, [{"2.nonce": 1}, {"2.nonce": 2}, {"2.nonce": 3}])
    jobs = [job for _, job in kit.producer.batch_jobs(batch.id)]
    kit.finish(jobs[2])
    kit.fail(jobs[0])
    counts = kit.producer.batch(batch.id).counts
    assert (counts.succeeded, counts.failed, counts.queued) == (1, 1, 1)


def test_a_backend_without_redis_is_tested_over_http(kit):
    job = kit.http.submit(GRAPH)
    done = kit.finish(job)
    assert job.owner == "tests"
    assert kit.http.wait(job.id, timeout=SOON) == done
    kit.clear()  # the access key stays
    assert kit.http.jobs().jobs == []


def test_a_backend_s_own_process_reaches_this_fleet_and_no_other(kit, monkeypatch):
    monkeypatch.setenv("COMFYFLEET_REDIS_URL", "redis://production.example:6379/0")
    for name, value in kit.environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings().redis_url == kit.settings["redis_url"]
    with Producer.from_env() as backend:
        job = backend.submit(GRAPH)
    assert kit.producer.get(job.id) == job
