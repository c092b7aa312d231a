"""What a node may do wrong, what that costs, and how it comes back."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import requests

from producer.contract.errors import JobNotSucceeded
from producer.contract.jobs import JobStatus
from producer.contract.nodes import NodeState
from tests.acceptance.test_jobs import runs_of
from tests.graphs import fresh_nonce, picture, rendering, sleeping
from tests.polling import wait_until

PATIENCE = timedelta(seconds=60)
#: Of those that a stand-in has.
MODELS = ("sd_xl_base_1.0.safetensors", "v1-5-pruned-emaonly.safetensors")

#: How ComfyUI refuses a class that it does not have (0.33.0).
NO_SLEEP = json.dumps(
    {
        "error": {
            "type": "missing_node_type",
            "message": "Node 'ComfyFleetSleep' not found.",
            "details": "Node ID '#2'",
            "extra_info": {"node_id": "2", "class_type": "ComfyFleetSleep"},
        },
        "node_errors": {},
    }
)


LOADED = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "me.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}
#: How ComfyUI refuses a picture that is not among its inputs (0.33.0).
LOST_PICTURE = json.dumps(
    {
        "error": {"type": "prompt_outputs_failed_validation", "message": "x", "details": ""},
        "node_errors": {
            "1": {
                "class_type": "LoadImage",
                "errors": [
                    {
                        "type": "custom_validation_failed",
                        "message": "Custom validation failed for node",
                        "details": "image - Invalid image file: comfyfleet/x.png",
                        "extra_info": {"input_name": "image"},
                    }
                ],
            }
        },
    }
)


@pytest.fixture
def first(stack, fleet):
    """Give a node and how to script its faults; it is well again afterwards."""
    node = stack.nodes[0]

    def script(*rules):
        requests.post(f"{node.url}/standin/faults", json=list(rules), timeout=5).raise_for_status()

    yield node, script
    requests.delete(f"{node.url}/standin/faults", timeout=5)
    wait_until(lambda: state_of(fleet, node) is NodeState.READY, description="well", within_s=40)


def state_of(fleet, node) -> NodeState:
    return next(known.state for known in fleet.nodes() if known.name == node.name)


@pytest.mark.parametrize(
    "rule",
    [
        {"on": "GET /ws", "do": "close", "count": 0},
        {"on": "ws", "do": "swallow", "count": 0},
        {"on": "ws", "do": "drop", "after": 5},
        {"on": "end", "do": "late", "seconds": 2},
        {"on": "POST /prompt", "do": "close", "handled": True},
        {"on": "accept", "do": "foreign", "seconds": 1},
    ],
    ids=["socket refused", "deaf", "dropped", "history late", "answer lost", "a human's prompt"],
)
def test_what_is_no_fault_costs_no_attempt(fleet, stack, first, rule):
    node, script = first
    script(rule)
    job = fleet.wait(fleet.submit(sleeping(0.5), pin=node.name).id, timeout=PATIENCE)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert len(runs_of(stack, job)) == 1


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        ({"on": "step", "do": "forget"}, "prompt_lost"),
        ({"on": "step", "do": "hang", "after": 2}, "stall"),
        ({"on": "run SaveImage", "do": "disk_full"}, "disk_full"),
        ({"on": "POST /prompt", "do": "answer", "status": 503}, "node_fault"),
        ({"on": "GET /view", "do": "html", "count": 3}, "output_damaged"),
        ({"on": "GET /view", "do": "truncate", "form": "close", "count": 3}, "output_damaged"),
    ],
)
def test_a_nodes_fault_is_not_charged_and_asks_for_a_canary(fleet, first, rule, cause):
    node, script = first
    script(rule)
    job = fleet.wait(fleet.submit(sleeping(0.5), pin=node.name).id, timeout=PATIENCE)
    assert [attempt.error.cause for attempt in job.attempts] == [cause]
    assert (job.charged_attempts, job.free_attempts) == (0, 1)


@pytest.mark.parametrize("form", ["length", "chunked", "close"])
def test_a_file_that_came_short_is_fetched_again(fleet, first, form):
    node, script = first
    script({"on": "GET /view", "do": "truncate", "form": form, "count": 2})
    job = fleet.wait(fleet.submit(sleeping(0.1), pin=node.name).id, timeout=PATIENCE)
    assert job.attempt == 1


def test_a_success_without_its_files_is_charged(fleet, first):
    node, script = first
    script({"on": "end", "do": "short", "count": 3})
    job = fleet.submit(sleeping(0.1), pin=node.name)
    with pytest.raises(JobNotSucceeded, match="graph node 3 saved nothing") as caught:
        fleet.wait(job.id, timeout=PATIENCE)
    assert caught.value.job.cause == "incomplete_output"


def test_a_retry_goes_to_another_node(fleet, stack, first):
    node, script = first
    script({"on": "run ComfyFleetSleep", "do": "raise", "count": 0})
    other = stack.nodes[1]
    jobs = [fleet.submit(sleeping(0.2, nonce=n)) for n in range(6)]
    done = [fleet.wait(job.id, timeout=PATIENCE) for job in jobs]
    assert {job.node for job in done} == {other.name}
    for job in done:
        nodes = [attempt.node for attempt in job.attempts]
        assert nodes in ([], [node.name])


@pytest.mark.parametrize(
    ("rule", "cause", "charged"),
    [
        ({"do": "oom"}, "out_of_memory", 1),
        (
            {"do": "raise", "body": "Error while deserializing header: HeaderTooLarge"},
            "model_damaged",
            0,
        ),
        ({"do": "raise", "body": "CUDA error: an illegal memory access"}, "device_fault", 0),
    ],
    ids=["less VRAM", "damaged model", "broken card"],
)
def test_a_cold_node_gets_the_retry_of_what_failed_on_a_warm_one(
    fleet, stack, first, *, rule, cause, charged
):
    node, script = first
    # Two models of which one is warm on either node, so that this one is always the other's.
    for model, where in ((MODELS[0], node), (MODELS[1], stack.nodes[1])):
        warmed = fleet.submit(rendering(model, seed=fresh_nonce()), pin=where.name)
        fleet.wait(warmed.id, timeout=PATIENCE)
    script({"on": "run KSampler", "count": 0, **rule})
    job = fleet.submit(rendering(MODELS[0], seed=fresh_nonce()))
    done = fleet.wait(job.id, timeout=PATIENCE)
    assert [(attempt.node, attempt.error.cause) for attempt in done.attempts] == [
        (node.name, cause)
    ]
    assert (done.node, done.charged_attempts) == (stack.nodes[1].name, charged)
    assert done.ended_at - done.created_at < timedelta(seconds=8)


def test_what_one_node_lacks_another_renders(fleet, stack, first):
    node, script = first
    script({"on": "POST /prompt", "do": "answer", "count": 0, "status": 400, "body": NO_SLEEP})
    jobs = [fleet.submit(sleeping(0.1)) for _ in range(4)]
    done = [fleet.wait(job.id, timeout=PATIENCE) for job in jobs]
    assert {job.node for job in done} == {stack.nodes[1].name}
    assert {job.charged_attempts for job in done} == {0}
    stories = [attempt.error for job in done for attempt in job.attempts]
    assert {story.cause for story in stories} == {"node_lacks"}
    assert f"{stack.nodes[1].name} has what is missing here" in stories[0].message
    pinned = fleet.submit(sleeping(), pin=node.name)
    with pytest.raises(JobNotSucceeded, match="this ComfyUI does not have the class") as caught:
        fleet.wait(pinned.id, timeout=PATIENCE)
    assert (caught.value.job.cause, caught.value.job.attempt) == ("invalid_graph", 1)


@pytest.mark.parametrize(("refusals", "attempts"), [(1, 2), (0, 3)], ids=["once", "for ever"])
def test_a_file_that_a_node_lost_after_its_upload_is_sent_again_or_the_job_says_why(
    fleet, first, refusals, attempts
):
    node, script = first
    rule = {"on": "POST /prompt", "do": "answer", "status": 400, "body": LOST_PICTURE}
    script({**rule, "count": refusals})
    job = fleet.submit(LOADED, inputs={"1.image": picture()}, pin=node.name)
    if refusals:
        fleet.wait(job.id, timeout=PATIENCE)
    else:
        with pytest.raises(JobNotSucceeded, match=r"Invalid image file: .*; its worker"):
            fleet.wait(job.id, timeout=PATIENCE)
    ended = fleet.get(job.id)
    assert (ended.attempt, ended.charged_attempts) == (attempts, 0)
    assert ended.cause == (None if refusals else "invalid_graph")


def test_a_zombie_costs_three_attempts_at_most_and_returns_when_well(fleet, stack, first):
    node, script = first
    script({"on": "prompt", "do": "hang", "count": 0})
    jobs = [fleet.submit(sleeping(0.3, nonce=n)) for n in range(8)]
    done = [fleet.wait(job.id, timeout=PATIENCE) for job in jobs]
    wasted = sum(len(job.attempts) for job in done)
    assert 1 <= wasted <= 3
    assert {job.node for job in done} == {stack.nodes[1].name}
    assert state_of(fleet, node) in {NodeState.SUSPECT, NodeState.QUARANTINED}
    requests.delete(f"{node.url}/standin/faults", timeout=5)
    wait_until(lambda: state_of(fleet, node) is NodeState.READY, description="back", within_s=40)
    again = fleet.wait(fleet.submit(sleeping(0.1), pin=node.name).id, timeout=PATIENCE)
    assert again.attempt == 1


@pytest.mark.parametrize(
    "rule",
    [
        {"on": "GET /view", "do": "flip", "count": 0},
        {"on": "* /*", "do": "vanish", "count": 0, "for_s": 2, "every_s": 4},
    ],
    ids=["corrupts", "flaps"],
)
def test_a_node_that_corrupts_or_flaps_costs_three_attempts_at_most(fleet, first, rule):
    _, script = first
    script(rule)
    jobs = [fleet.submit(sleeping(0.3)) for _ in range(8)]
    done = [fleet.wait(job.id, timeout=PATIENCE) for job in jobs]
    assert sum(len(job.attempts) for job in done) <= 3
    assert {job.charged_attempts for job in done} == {0}


def test_a_node_that_gives_a_byte_a_second_holds_no_job(fleet, stack, first):
    node, script = first
    script({"on": "GET /view", "do": "slow", "bytes_per_s": 1, "count": 0})
    job = fleet.submit(sleeping(0.1), pin=node.name, run_within=timedelta(seconds=2))
    wait_until(lambda: fleet.get(job.id).done, description="it ends", within_s=40)
    assert fleet.get(job.id).cause == "run_deadline"
    assert len(runs_of(stack, job)) == 1
