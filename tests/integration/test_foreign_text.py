"""Whatever nodes and graphs say, writing it down does not fail, and what was written can be read."""

from __future__ import annotations

import pytest

from producer.contract.jobs import Artifact, JobError, JobStatus, Phase, Progress
from producer.contract.notes import fit_notes
from tests.integration.hand_led import WORKER, hold
from tests.mutations import ODD_TEXTS

TEXTS = [*ODD_TEXTS, "a\ud800\x1b[31m\0\x7f\x85\u2028", "\udcff" * 1_000, "é\0" * 5_000_000]


@pytest.fixture(params=TEXTS, ids=lambda text: ascii(text[:12]))
def odd(request):
    return request.param


def story(odd):
    return JobError(cause="node_fault", message=odd, graph_node=odd, node=odd, advice=odd)


def read(led, job):
    found = led.fleet.get(job.id)
    text = found.model_dump_json()
    assert len(text.encode()) < 300_000
    assert type(found).model_validate_json(text) == found
    return found


def test_an_attempt_that_failed_is_written_down(led, odd):
    job = led.running()
    led.store.note(
        hold(job), phase=Phase.RENDERING, progress=Progress(graph_node=odd, value=1, max=2)
    )
    assert read(led, job).progress.value == 1
    requeued = led.store.requeue(job.id, attempt=1, worker=WORKER, error=story(odd), charged=True)
    assert requeued == 2
    again = led.running(read(led, job))
    led.store.fail(hold(again), story(odd), charged=True, dead=True)
    ended = read(led, job)
    assert (ended.status, len(ended.attempts)) == (JobStatus.FAILED, 2)
    assert len(led.fleet.dead_letters.list()) == 1


def test_a_lease_that_ran_out_is_written_down(led, odd):
    job = led.running()
    led.redis.hset(f"comfyfleet:job:{job.id}", "lease_until_ms", 1)
    led.redis.zadd("comfyfleet:leases", {job.id: 1})
    led.store.fail_lapsed(job.id, attempt=1, error=story(odd))
    assert read(led, job).status is JobStatus.FAILED


def test_what_a_job_made_is_written_down(led, odd):
    job = led.running()
    artifact = Artifact(
        key=f"jobs/{job.id}/1/3-0.png",
        graph_node=odd,
        index=0,
        kind=odd,
        type=odd,
        name=odd,
        subfolder=odd,
        media_type="image/png",
        bytes=1,
        sha256="0" * 64,
    )
    led.store.commit(hold(job), artifacts=[artifact], values={}, notes=fit_notes([odd]))
    assert read(led, job).status is JobStatus.SUCCEEDED


def test_a_node_that_says_anything_is_shown(led, odd):
    led.fleet._nodes.register("gpu-01", worker="w", fields={"pool": "default", "url": "http://x"})
    led.fleet._nodes.say("gpu-01", state="suspect", reason=story(odd).message)
    (node,) = led.fleet.nodes()
    node.model_dump_json()
