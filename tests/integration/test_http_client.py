"""The client of the HTTP API does as the library does, call by call, and raises the same errors."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest

from producer.contract.cancel_outcomes import Cancelled
from producer.contract.errors import (
    FleetError,
    InvalidJob,
)
from producer.contract.ids import new_job_id
from producer.contract.jobs import Artifact, Job, JobStatus
from producer.contract.outcomes import BulkAction
from producer.http_client import HttpProducer
from tests.integration.api_server import GRAPH

#: What differs from one job to the next, and the key that the client makes.
OWN = {"id", "created_at", "start_deadline", "queued_at", "idempotency_key", "batch"}
SOON = timedelta(seconds=20)


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
    assert both[1].act("cancel", "status:queued", reason="a test").done == 2
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
