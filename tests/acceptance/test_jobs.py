"""What the README promises, one story a test, on a whole fleet of real processes."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import closing
from datetime import timedelta

import pytest
import requests

from producer.aio import AsyncProducer
from producer.contract.cancel_outcomes import Cancelled
from producer.contract.errors import InvalidGraph, JobNotSucceeded, KeyReused, WaitTimeout
from producer.contract.jobs import JobStatus, Phase
from producer.store.connection import connect
from producer.store.sweeps import Sweeps
from tests.graphs import journal, picture, raising, sample, sleeping
from tests.polling import wait_until

PATIENCE = timedelta(seconds=30)


def runs_of(stack, job) -> list[dict]:
    return [note for node in stack.nodes for note in journal(node) if note["job"] == job.id]


def test_the_users_own_graph_becomes_artifacts(fleet):
    job = fleet.submit(
        sample(),
        params={"KSampler.seed": 7},
        inputs={"34.image": picture(), "38.image": picture(form="WEBP")},
        metadata={"order": "88231"},
    )
    job = fleet.wait(job.id, timeout=PATIENCE)
    assert [a.graph_node for a in job.artifacts] == ["9", "45", "48"]
    assert {a.type for a in job.artifacts} == {"output", "temp"}
    assert (job.artifacts[0].width, job.artifacts[0].height) == (1024, 768)
    assert job.attempt == 1
    assert job.metadata == {"order": "88231"}
    spent = job.timings
    assert None not in (spent.queued, spent.preparing, spent.rendering, spent.fetching)
    assert spent.storing is not None


def test_what_the_nodes_classes_do_not_take_is_refused_at_once(fleet):
    fleet.wait(fleet.submit(sleeping()).id, timeout=PATIENCE)  # its node has told of itself
    graph = sleeping()
    with pytest.raises(InvalidGraph, match="width: 0 is too small; it takes 1 to ") as caught:
        fleet.submit(graph, params={"EmptyImage.width": "0"})
    assert caught.value.field == "params.EmptyImage.width"
    graph["3"]["inputs"]["images"] = ["2", 0]
    del graph["2"]["inputs"]["image"]
    with pytest.raises(InvalidGraph, match=r"\(ComfyFleetSleep\), input image: is required"):
        fleet.submit(graph)


def test_an_artifact_is_what_its_record_says(fleet):
    job = fleet.wait(fleet.submit(sleeping()).id, timeout=PATIENCE)
    [artifact] = job.artifacts
    answer = requests.get(fleet.url(artifact), timeout=5)
    assert hashlib.sha256(answer.content).hexdigest() == artifact.sha256
    assert len(answer.content) == artifact.bytes
    assert answer.headers["Content-Type"] == artifact.media_type == "image/png"
    assert answer.headers["x-amz-meta-job"] == job.id
    assert artifact.key == f"jobs/{job.id}/1/3-0.png"


def test_events_tell_the_whole_story_in_order(fleet):
    job = fleet.submit(sleeping(1))
    events = list(fleet.stream(job.id, timeout=PATIENCE))
    assert events[0].type == "snapshot"
    assert events[-1].status is JobStatus.SUCCEEDED
    numbers = [event.n for event in events[1:]]
    assert numbers == sorted(set(numbers))
    phases = list(dict.fromkeys(event.phase for event in events if event.phase))
    assert phases[-3:] == [Phase.RENDERING, Phase.FETCHING, Phase.STORING]
    assert any(event.progress for event in events)
    job = fleet.get(job.id)
    assert (job.progress.percent, job.progress.graph_nodes_done) == (100, job.progress.graph_nodes)
    assert job.progress.graph_nodes > 1


def test_a_preview_is_seen_while_somebody_asks_for_it(fleet):
    job = fleet.submit(sleeping(10, preview=True))
    wait_until(lambda: fleet.preview(job.id), description="a preview")
    preview = fleet.preview(job.id)
    assert preview.content.startswith(b"\xff\xd8\xff")
    assert (preview.attempt, preview.graph_node) == (1, "2")
    fleet.cancel(job.id)


def test_the_library_serves_asyncio(fleet):
    async def story():
        async with AsyncProducer(fleet.settings) as producer:
            job = await producer.submit(sleeping())
            types = [event.type async for event in producer.stream(job.id, timeout=PATIENCE)]
            return types, await producer.wait(job.id, timeout=PATIENCE)

    types, job = asyncio.run(story())
    assert types[-1] == "succeeded"
    assert job.artifacts


def test_one_key_makes_one_job(fleet):
    first = fleet.submit(sleeping(nonce=1), idempotency_key="order-1")
    again = fleet.submit(sleeping(nonce=1), idempotency_key="order-1")
    assert again.id == first.id
    with pytest.raises(KeyReused, match=first.id):
        fleet.submit(sleeping(nonce=2), idempotency_key="order-1")
    other = fleet.submit(sleeping(nonce=2), idempotency_key="order-1", owner="somebody-else")
    assert other.id != first.id


def test_identical_graphs_are_saved_each_time(fleet, stack):
    jobs = [fleet.submit(sleeping(nonce=5), pin=stack.nodes[0].name) for _ in range(2)]
    keys = [fleet.wait(job.id, timeout=PATIENCE).artifacts[0].key for job in jobs]
    assert keys[0] != keys[1]


def test_a_pinned_job_runs_on_its_node(fleet, stack):
    for node in stack.nodes:
        job = fleet.wait(fleet.submit(sleeping(), pin=node.name).id, timeout=PATIENCE)
        assert job.node == node.name


def test_a_running_job_is_cancelled_at_its_node(fleet, stack):
    job = fleet.submit(sleeping(30))
    wait_until(
        lambda: fleet.get(job.id).phase is Phase.RENDERING and runs_of(stack, job),
        description="it renders",
    )
    assert fleet.cancel(job.id) is Cancelled.REQUESTED
    with pytest.raises(JobNotSucceeded, match="cancelled"):
        fleet.wait(job.id, timeout=PATIENCE)
    wait_until(
        lambda: runs_of(stack, job)[0]["outcome"] == "interrupted", description="it was stopped"
    )
    assert fleet.cancel(job.id) is Cancelled.ENDED


def test_a_waiting_job_is_cancelled_at_once(fleet, stack):
    # Both nodes are busy, so that a third job has to wait.
    busy = [fleet.submit(sleeping(3), pin=node.name) for node in stack.nodes]
    for job in busy:
        wait_until(lambda job=job: fleet.get(job.id).phase, description="it runs")
    job = fleet.submit(sleeping())
    assert job.waiting_for == "capacity"
    assert fleet.cancel(job.id) is Cancelled.CANCELLED
    for other in busy:
        fleet.cancel(other.id)
    assert fleet.get(job.id).status is JobStatus.CANCELLED


def test_a_graph_node_that_raises_is_tried_thrice_then_named(fleet):
    job = fleet.submit(raising(text="no such colour"))
    with pytest.raises(JobNotSucceeded, match=r"graph node 2 .*no such colour") as caught:
        fleet.wait(job.id, timeout=PATIENCE)
    job = caught.value.job
    assert (job.status, job.cause, job.charged_attempts) == (
        JobStatus.FAILED,
        "execution_error",
        3,
    )
    assert [attempt.error.graph_node for attempt in job.attempts] == ["2", "2", "2"]
    assert {attempt.fingerprint for attempt in job.attempts} == {
        "ComfyFleetRaise RuntimeError: no such colour"
    }
    for attempt in job.attempts:  # its end is of the worker's clock, all else of Redis'
        took_ms = attempt.ended_at.timestamp() * 1000 - attempt.started_ms
        assert 0 <= attempt.render_ms <= took_ms + 50


def test_out_of_memory_comes_with_advice(fleet):
    job = fleet.submit(raising(kind="oom"))
    with pytest.raises(JobNotSucceeded, match="VRAM") as caught:
        fleet.wait(job.id, timeout=PATIENCE)
    assert caught.value.job.cause == "out_of_memory"


def test_a_run_deadline_stops_the_prompt(fleet, stack):
    job = fleet.submit(sleeping(30), run_within=timedelta(seconds=1))
    with pytest.raises(JobNotSucceeded, match="took longer than its 1 s") as caught:
        fleet.wait(job.id, timeout=PATIENCE)
    assert caught.value.job.cause == "run_deadline"
    wait_until(
        lambda: runs_of(stack, job)[0]["outcome"] == "interrupted", description="it was stopped"
    )


def test_a_start_deadline_ends_what_nobody_started(fleet, stack):
    busy = [fleet.submit(sleeping(20), pin=node.name) for node in stack.nodes]
    for other in busy:
        wait_until(lambda other=other: fleet.get(other.id).phase, description="it runs")
    job = fleet.submit(sleeping(), start_within=timedelta(seconds=0.5))
    with pytest.raises(JobNotSucceeded, match="expired"):
        fleet.wait(job.id, timeout=PATIENCE)
    for other in busy:
        fleet.cancel(other.id)


def test_waiting_gives_up_but_the_job_goes_on(fleet):
    job = fleet.submit(sleeping(1))
    with pytest.raises(WaitTimeout, match="it goes on"):
        fleet.wait(job.id, timeout=timedelta(seconds=0.2))
    assert fleet.wait(job.id, timeout=PATIENCE).status is JobStatus.SUCCEEDED


def test_text_and_numbers_are_outputs_too(fleet):
    graph = {
        "1": {"class_type": "ComfyFleetText", "inputs": {"text": "a fox", "kind": "plain"}},
    }
    job = fleet.wait(fleet.submit(graph).id, timeout=PATIENCE)
    assert job.artifacts == []
    assert "a fox" in json.dumps(job.values["1"])


def test_a_secret_that_a_graph_node_shows_is_not_kept(fleet):
    graph = {"1": {"class_type": "ComfyFleetText", "inputs": {"text": "key-s3", "kind": "plain"}}}
    job = fleet.submit(graph, extra_data={"api_key_comfy_org": "key-s3"})
    shown = json.dumps(fleet.wait(job.id, timeout=PATIENCE).values)
    assert "***" in shown
    assert "key-s3" not in shown


def test_a_queue_that_was_retired_is_served_again_with_its_next_job(fleet):
    fleet.wait(fleet.submit(sleeping()).id, timeout=PATIENCE)
    with closing(connect(fleet.settings)) as redis:
        sweeps = Sweeps(redis, keep_ended=timedelta(days=7))
        wait_until(lambda: sweeps.retire_queues(idle=timedelta(0)), description="it is retired")
    assert fleet.wait(fleet.submit(sleeping()).id, timeout=PATIENCE).done
