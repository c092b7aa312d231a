"""The client of the HTTP API does as the library does, call by call, and raises the same errors."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta

import pytest
import requests

from producer.batch.rows import Row
from producer.contract.cancel_outcomes import BatchCancelled, Cancelled
from producer.contract.config.settings import Settings
from producer.contract.errors import (
    FleetError,
    InvalidBatch,
    InvalidInput,
    InvalidJob,
    InvalidRows,
    JobNotSucceeded,
    ObjectConflict,
    ObjectMissing,
    StorageError,
    WaitTimeout,
)
from producer.contract.ids import new_job_id
from producer.contract.jobs import Artifact, Job, JobStatus
from producer.contract.outcomes import BulkAction
from producer.http_client import HttpProducer
from tests.integration.api_server import GRAPH
from tests.integration.hand_led import HandLed
from tests.integration.test_bulk_actions import carrying_out
from tests.media_samples import png
from tests.polling import wait_until

#: What differs from one job to the next, and the key that the client makes.
OWN = {"id", "created_at", "start_deadline", "queued_at", "idempotency_key", "batch"}
SOON = timedelta(seconds=20)
#: A graph that reads a picture, and a picture.
READING = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "fox.png"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
PICTURE = png(1, 1)


class Library:
    """The library with the owner that a key would have, so that both are called alike."""

    def __init__(self, fleet, owner="shop"):
        self.fleet = fleet
        self.owner = owner

    def __getattr__(self, name):
        call = getattr(self.fleet, name)
        if name not in {"submit", "submit_once", "submit_many", "begin_batch", "upload", "batches"}:
            return call
        return lambda *given, **options: call(*given, owner=self.owner, **options)


@pytest.fixture
def remote(api):
    with client(api(scopes="submit,read,operate")) as fleet:
        yield fleet


@pytest.fixture
def both(led, remote):
    return Library(led.fleet), remote


def client(key, **options):
    return HttpProducer(key.url, key.key, **options)


def seen(job):
    """Return what two jobs of equal requests have in common."""
    return job.model_dump(exclude=OWN)


def raised(call, fleet):
    with pytest.raises(FleetError) as caught:
        call(fleet)
    return caught.value


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
        again = fleet.retry(job.id, tier="idle")
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


@pytest.mark.parametrize(
    "graph", [b"{}", "no json", [], {"3": {"inputs": {}}}, {"3": 1}, b"\x89PNG"]
)
def test_graphs_are_refused_alike(both, graph):
    ours, theirs = (raised(lambda fleet: fleet.submit(graph), fleet) for fleet in both)
    assert (type(ours), str(ours), vars(ours)) == (type(theirs), str(theirs), vars(theirs))


NO_JOB = new_job_id()
_ARTIFACT = Artifact(
    key=f"jobs/{NO_JOB}/1/3-0.png", graph_node="3", index=0, kind="images", type="output",
    name="a.png", media_type="image/png", bytes=1, sha256="0" * 64,
)  # fmt: skip
CALLS = {
    "unknown input": lambda fleet: fleet.submit(GRAPH, params={"3.colour": 1}),
    "bad value": lambda fleet: fleet.submit(GRAPH, params={"3.color": [1, 2, 3]}),
    "unknown graph node": lambda fleet: fleet.submit(GRAPH, params={"77.text": 1}),
    "bad tier": lambda fleet: fleet.submit(GRAPH, tier="now"),
    "bad pool": lambda fleet: fleet.submit(GRAPH, pool="No Pool"),
    "unknown hook": lambda fleet: fleet.submit(GRAPH, hook="nobody"),
    "copies elsewhere": lambda fleet: fleet.submit(GRAPH, deliver={"to": "s3://x/{job}-{n}"}),
    "copies of one key": lambda fleet: fleet.submit(GRAPH, deliver={"to": "s3://x/{n}"}),
    "copies in no format": lambda fleet: fleet.submit(GRAPH, deliver={"to": "s", "format": 7}),
    "bad duration": lambda fleet: fleet.submit(GRAPH, run_within=timedelta(0)),
    "no duration": lambda fleet: fleet.submit(GRAPH, run_within=7),
    "bad metadata": lambda fleet: fleet.submit(GRAPH, metadata={"a": 7}),
    "file of nothing": lambda fleet: fleet.submit(GRAPH, inputs={"3.color": b"x"}),
    "key reused": lambda fleet: [
        fleet.submit(GRAPH, idempotency_key="one", pool=pool) for pool in ("a", "b")
    ],
    "no such job": lambda fleet: fleet.get(NO_JOB),
    "no job id": lambda fleet: fleet.get("7"),
    "wait for none": lambda fleet: fleet.wait(NO_JOB),
    "cancel none": lambda fleet: fleet.cancel(NO_JOB),
    "hold none": lambda fleet: fleet.hold(NO_JOB),
    "retry none": lambda fleet: fleet.retry(NO_JOB),
    "retry a live one": lambda fleet: fleet.retry(_job(fleet, "live").id),
    "hold an ended one": lambda fleet: fleet.hold(_cancelled(fleet).id),
    "bad filter": lambda fleet: fleet.jobs("stat:failed"),
    "bad cursor": lambda fleet: fleet.jobs("", "nonsense"),
    "bad limit": lambda fleet: fleet.jobs("", None, 5_000),
    "no such batch": lambda fleet: fleet.batch(NO_JOB),
    "batch of a filter": lambda fleet: fleet.jobs("batch:nobody"),
    "seal none": lambda fleet: fleet.seal_batch(NO_JOB),
    "bad action": lambda fleet: fleet.act("burn", "status:queued"),
    "no such webhook": lambda fleet: fleet.webhooks.get("nobody"),
    "bad rows": lambda fleet: fleet.submit_many(
        GRAPH, [{"3.color": 1}, {"3.colour": 1}, InvalidJob("it is torn", field="params.")]
    ),
    "no rows": lambda fleet: fleet.submit_many(GRAPH, []),
    "no mapping": lambda fleet: fleet.submit_many(GRAPH, [7]),
    "hold an open batch": lambda fleet: fleet.hold_batch(fleet.begin_batch(GRAPH).batch.id),
    "no url so long": lambda fleet: fleet.url(_ARTIFACT, expires=timedelta(days=8)),
}
#: Where the field is named otherwise, or the message says less: JSON has no such value, or the API checks it itself.
LOOSE = {"bad limit", "bad action", "bad pool", "bad metadata", "hold an open batch", "retry a live one",
         "hold an ended one", "key reused", "no mapping", "no such webhook"}  # fmt: skip


def _job(fleet, name):
    return fleet.submit(GRAPH, idempotency_key=name)


def _cancelled(fleet):
    job = _job(fleet, "ended")
    fleet.cancel(job.id)
    return job


@pytest.mark.parametrize("what", CALLS)
def test_errors_are_of_the_same_class_with_the_same_facts(both, what):
    ours, theirs = (raised(CALLS[what], fleet) for fleet in both)
    assert type(ours) is type(theirs)
    mine, other = vars(ours), vars(theirs)
    assert mine.keys() == other.keys()
    if what in LOOSE:
        assert mine.get("field") == other.get("field")
    else:
        assert (mine, str(ours)) == (other, str(theirs))


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
