"""What a manifest describes is, field by field, what the record said that it was made from."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from producer.contract.ids import row_id
from producer.contract.jobs import InputFile, JobError, JobStatus, Phase, Progress, as_writable
from producer.contract.manifests import job_of_manifest, manifest_of
from producer.contract.queues import Needs, Tier
from producer.contract.submissions import Submission
from producer.store import keys
from producer.store.rebuilt_records import record_of
from producer.store.records import job_of
from tests.integration.batch_feeding import GRAPH, feed, seeds
from tests.integration.hand_led import WORKER, HandLed, hold

#: Of a living job only: its holder, the token of its claim, the number of its last event, where it is to run next.
LIVING = {"worker", "claim", "n", "shun"}


def rich(led: HandLed):
    """Hand in a job with all that one can have, and let its first attempt fail."""
    submission = Submission(
        template="7" * 64,
        needs=Needs.of("video", models=["wan.safetensors"]),
        start_within=timedelta(hours=2),
        run_within=timedelta(minutes=7),
        params={"6.text": "a fox, é 名", "3.seed": 2**63, "3.cfg": 7.5},
        graph_values={"7.text": "blurry, é", "3.denoise": 1.0},
        inputs={
            "34.image": InputFile(source="inputs/1", name="me.png", sha256="1" * 64, bytes=7),
            "35.image": InputFile(source="node:there.png", name="there.png"),
        },
        metadata={"order": "7"},
        tier=Tier.RUSH,
        pin="gpu-01",
        owner="shop",
        idempotency_key="order-7",
        extra_data="8" * 64,
        secrets=("api_key_comfy_org",),
        shape="9" * 16,
    )
    led.store.add(submission, graph=b"{}", extra_data=b"{}", secrets=b"{}")
    job = led.running(led.fleet.get(submission.id))
    error = JobError(cause="out_of_memory", message="too large", graph_node="3", node="gpu-01")
    led.store.requeue(job.id, attempt=1, worker=WORKER, error=error, charged=True)
    return led.fleet.get(job.id)


def whole(led: HandLed):
    """Hand in a graph whose values are its own, without params."""
    job = led.queued(idempotency_key="k")
    assert job.graph_values
    assert not job.params
    return job


def row(led: HandLed):
    """Hand in a batch of three rows, and return the second."""
    batch = led.fleet.submit_many(GRAPH, seeds(3), metadata={"night": "1"}, tier="batch")
    feed(led.fleet)
    return led.fleet.get(row_id(batch.id, 2))


def row_made_again(led: HandLed):
    return led.fleet.retry(led.failed(row(led)).id)


JOBS = {
    "rich": rich,
    "whole": whole,
    "plain": HandLed.queued,
    "row": row,
    "row made again": row_made_again,
}


def delivered(led: HandLed, job, *, files: int):
    """Let a job succeed as a worker does; return its record as read, and its manifest from the bucket."""
    job = led.running(job)
    led.store.note(hold(job), phase=Phase.RENDERING)
    led.store.note(hold(job), progress=Progress(graph_node="3", value=2, max=4, graph_nodes=3))
    led.store.note(hold(job), phase=Phase.FETCHING)
    if files:
        led.store.note(hold(job), phase=Phase.STORING)
    made = {
        "artifacts": [led.artifact(job, number, b"%d" % number) for number in range(files)],
        "values": {"8": {"text": ["made"]}, "9": {"deep": deep(200)}},
        "notes": ["graph node 5 made no file"],
    }
    read = led.fleet.get(job.id)
    manifest = json.dumps(manifest_of(read, **made, device="cuda:0", comfyui_version="0.33.0"))
    led.store.commit(hold(job), **made, graph_nodes=3)
    return led.fleet.get(job.id), json.loads(manifest)


def deep(levels):
    value = "bottom"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("files", [3, 0])
@pytest.mark.parametrize("kind", JOBS)
def test_the_record_that_a_manifest_describes_is_the_one_it_came_from(led, kind, files):
    ended, manifest = delivered(led, JOBS[kind](led), files=files)

    described = job_of_manifest(manifest, stored_at=ended.ended_at)
    assert described.model_dump() == ended.model_dump()
    assert ended.status is JobStatus.SUCCEEDED
    assert (ended.progress.percent, ended.progress.graph_nodes_done) == (100, 3)

    rebuilt = {name: str(value) for name, value in record_of(described).items()}
    assert job_of(ended.id, rebuilt) == ended
    kept = led.redis.hgetall(keys.job(ended.id))
    assert told(rebuilt) == told(kept)


def told(record):
    """Return a record's fields as what they say: JSON may be written in another order."""
    fields = {
        name: without_nulls(json.loads(value)) if value.startswith("{") else value
        for name, value in record.items()
        if name not in LIVING
    }
    fields["result"]["values"] = as_writable(fields["result"]["values"])
    return fields


def without_nulls(story):
    return {name: value for name, value in story.items() if value is not None}


@pytest.mark.parametrize(("kind", "number"), [("row", 2), ("row made again", 2), ("plain", None)])
def test_a_manifest_tells_the_row(led, kind, number):
    _, manifest = delivered(led, JOBS[kind](led), files=1)
    assert manifest.get("row") == number
