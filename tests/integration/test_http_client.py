"""The client of the HTTP API does as the library does, call by call."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta

import pytest
import requests

from producer.contract.cancel_outcomes import Cancelled
from producer.contract.config.settings import Settings
from producer.contract.errors import (
    InvalidInput,
    JobNotSucceeded,
    ObjectConflict,
    ObjectMissing,
    StorageError,
    WaitTimeout,
)
from producer.contract.jobs import Job, JobStatus
from producer.contract.outcomes import BulkAction
from tests.integration.api_server import GRAPH
from tests.integration.both_clients import Library, seen
from tests.integration.carried_actions import carrying_out
from tests.integration.hand_led import HandLed
from tests.media_samples import png
from tests.polling import wait_until

SOON = timedelta(seconds=20)
#: A graph that reads a picture, and a picture.
READING = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "fox.png"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
PICTURE = png(1, 1)


def test_it_loads_neither_redis_nor_celery_nor_boto3():
    heavy = {"redis", "celery", "kombu", "boto3", "botocore", "fastapi", "celery_config"}
    code = f"import sys, producer.http_client; print(sorted({heavy} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_jobs_are_handed_in_read_listed_and_led_alike(both, led):
    options = {
        "params": {"3.color": 255},
        "metadata": {"order": "7"},
        "tier": "rush",
        "run_within": timedelta(minutes=3),
        "start_within": timedelta(hours=1),
        "extra_data": {"extra_pnginfo": {"workflow": {"nodes": []}}},
    }
    ours, theirs = (fleet.submit(GRAPH, **options) for fleet in both)
    assert type(theirs) is Job
    assert seen(ours) == seen(theirs)
    assert [fleet.get(theirs.id) for fleet in both] == [theirs] * 2
    assert both[0].get_many([ours.id, theirs.id]) == both[1].get_many([ours.id, theirs.id])
    pages = [fleet.jobs("owner:shop status:queued", None, 1) for fleet in both]
    assert pages[0].jobs == pages[1].jobs == [theirs]
    assert both[1].jobs("owner:shop status:queued", pages[1].cursor, 1).jobs == [ours]
    for fleet, job in zip(both, (ours, theirs), strict=True):
        assert fleet.hold(job.id).status is JobStatus.HELD
        assert fleet.release(job.id).status is JobStatus.QUEUED
        assert fleet.cancel(job.id) is Cancelled.CANCELLED
        assert fleet.cancel(job.id) is Cancelled.ENDED
        made = fleet.retry_once(job.id, tier="idle")
        assert not made.is_replay
        assert fleet.retry_once(job.id, tier="idle").is_replay
        again = made.job
        assert (again.retry_of, again.tier) == (job.id, "idle")
        assert fleet.retry(job.id, tier="idle") == again
    acted = [fleet.act(BulkAction.CANCEL, "status:queued", dry_run=True) for fleet in both]
    assert acted[0] == acted[1] == (2, 0, None)
    with carrying_out(led):
        assert both[1].act("cancel", "status:queued", reason="a test").done == 2
    [record] = both[1].actions()
    assert record == both[0].actions(owner="shop")[0] == both[1].action(record.id)
    assert record == both[1].wait_action(record.id)
    assert both[1].nodes() == led.fleet.nodes()


def test_an_idempotency_key_makes_one_job_and_tells_of_it(both):
    made = [fleet.submit_once(GRAPH, idempotency_key="ordered twice, ä") for fleet in both]
    assert made[0].job.id == made[1].job.id
    assert [one.is_replay for one in made] == [False, True]
    own = both[1].submit_once(GRAPH)
    assert (own.is_replay, own.job.idempotency_key[:4]) == (False, "own-")


@pytest.fixture
def stored(redis_client, redis_server, s3_settings, s3_client):
    """Jobs whose artifacts are in the bucket of the API."""
    place = {**s3_settings, "s3_bucket": "api", "s3_prefix": ""}
    settings = Settings(redis_url=redis_server.url, **place)
    led = HandLed(settings, redis_client, s3=s3_client)
    with led.fleet:
        yield led


def test_files_are_handed_in_and_fetched_alike(both, stored, tmp_path):
    library, remote = Library(stored.fleet), both[1]
    (tmp_path / "fox.png").write_bytes(PICTURE)
    for given in (PICTURE, tmp_path / "fox.png"):
        assert library.upload(given, name="fox.png") == remote.upload(given, name="fox.png")
    inputs = {"1.image": tmp_path / "fox.png"}
    ours, theirs = (
        fleet.submit(READING, inputs=inputs).inputs["1.image"] for fleet in (library, remote)
    )
    assert ours.sha256 == theirs.sha256
    assert (
        remote.submit(READING, inputs={"1.image": PICTURE}).inputs["1.image"].sha256 == ours.sha256
    )
    job = stored.succeeded(remote.submit(GRAPH), contents=(b"first", b"second"))
    artifact = remote.get(job.id).artifacts[1]
    assert artifact == stored.fleet.get(job.id).artifacts[1]
    remote.fetch(artifact, tmp_path / "made")
    assert (tmp_path / "made").read_bytes() == b"second"
    link = remote.url(artifact, expires=timedelta(seconds=90))
    assert "X-Amz-Expires=90" in link
    assert requests.get(link, timeout=5).content == b"second"
    stored.put(artifact.key, b"other")
    with pytest.raises(ObjectConflict):
        remote.fetch(artifact, tmp_path / "broken")
    stored.delete(artifact.key)
    with pytest.raises(StorageError, match="cannot be fetched"):
        remote.fetch(artifact, tmp_path / "broken")
    assert not (tmp_path / "broken").exists()
    with pytest.raises(ObjectMissing):
        remote.url(artifact.model_copy(update={"key": artifact.key + "x"}))
    for file in ("nowhere.png", tmp_path, b"", 7, "node:a.png"):
        with pytest.raises(InvalidInput) as caught:
            remote.submit(READING, inputs={"1.image": file})
        assert caught.value.field in {"inputs.1.image", "content"}


def test_webhooks_are_registered_listed_and_forgotten_alike(both, led):
    made = both[1].webhooks.create("orders", "https://example.com/hook", events=["job.failed"])
    assert made.secret.get_secret_value().startswith("whsec_")
    [listed] = both[1].webhooks.list()
    assert (
        listed == both[1].webhooks.get("orders") == led.fleet.webhooks.get("orders", owner="shop")
    )
    assert made.webhook == listed
    delivery = both[1].webhooks.test("orders")
    assert both[1].webhooks.deliveries("orders") == [delivery]
    assert both[1].webhooks.redeliver("orders", delivery.id).id == delivery.id
    assert both[1].submit(GRAPH, hook="orders").hook == "orders"
    both[1].webhooks.delete("orders")
    assert both[1].webhooks.list() == []


def test_a_stream_tells_what_the_library_tells(both, stored):
    library, remote = Library(stored.fleet), both[1]
    jobs = [remote.submit(GRAPH) for _ in range(2)]

    def follow(name, fleet, *ids):
        for event in fleet.stream(*ids, timeout=SOON):
            told[name].append(event)

    names = {
        "ours": (library, jobs[0].id),
        "theirs": (remote, jobs[0].id),
        "all": (remote, *(job.id for job in jobs)),
    }
    told = {name: [] for name in names}
    threads = [
        threading.Thread(target=follow, args=(name, *given)) for name, given in names.items()
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: all(told.values()), description="each has told the present state")
    done = stored.succeeded(jobs[0])
    stored.cancelled(jobs[1])
    for thread in threads:
        thread.join()
    assert told["ours"][-1].status is told["theirs"][-1].status is JobStatus.SUCCEEDED
    assert [event.n for event in told["theirs"][1:]] == [event.n for event in told["ours"][1:]]
    assert told["theirs"][0].type == "snapshot"
    assert {event.job for event in told["all"]} == {job.id for job in jobs}
    assert remote.wait(done.id, timeout=SOON) == done
    assert [e.status for e in remote.stream(done.id, after=told["theirs"][-1].id)] == ["succeeded"]
    with pytest.raises(JobNotSucceeded) as caught:
        remote.wait(jobs[1].id)
    assert caught.value.job == stored.fleet.get(jobs[1].id)
    with pytest.raises(WaitTimeout):
        remote.wait(remote.submit(GRAPH).id, timeout=timedelta(seconds=0.2))
