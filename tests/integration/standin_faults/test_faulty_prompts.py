"""Prompts that hang, raise, are forgotten or interrupted, and histories that are not as they should be."""

from __future__ import annotations

import time

import pytest

from tests.contract.comfy import new_id, wait_until
from tests.contract.graphs import picture, sleeping
from tests.integration.standin_faults.faults import LATE_S, fired


def test_a_graph_node_hangs_until_it_is_interrupted(comfy, fault):
    fault("step ComfyFleetSleep", "hang", after=1)
    prompt_id = comfy.queue_prompt(sleeping(0.01, steps=4))
    wait_until(lambda: fired(comfy) == [1], description="the step")

    comfy.post("/interrupt", json={"prompt_id": prompt_id})

    messages = comfy.ended(prompt_id)["status"]["messages"]
    assert messages[-1][0] == "execution_interrupted"


def test_a_deaf_graph_node_hangs_until_it_is_cleared(comfy, fault):
    fault("run SaveImage", "hang", deaf=True)
    ears = comfy.listen()
    prompt_id = comfy.queue_prompt(picture(), client_id=ears.sid)
    ears.until(lambda one: one["type"] == "executing" and one["data"]["node"] == "2")
    comfy.post("/interrupt", json={"prompt_id": prompt_id})
    assert ears.hears_nothing()
    assert comfy.running() == [prompt_id]

    comfy.http.delete(f"{comfy.url}/standin/faults")

    assert comfy.ended(prompt_id)["status"]["messages"][-1][0] == "execution_interrupted"


def test_a_zombie_accepts_prompts_and_runs_none(comfy, fault):
    client_id = new_id()
    fault("prompt", "hang", count=0)
    first, second = (comfy.queue_prompt(picture(), client_id=client_id) for _ in range(2))
    comfy.started(first)
    assert comfy.listen(client_id).hears_nothing()
    assert comfy.pending() == [second]

    comfy.http.delete(f"{comfy.url}/standin/faults")

    assert comfy.ended(second)["status"]["completed"]


@pytest.mark.parametrize(
    ("do", "exception"),
    [("raise", "RuntimeError"), ("oom", "torch.OutOfMemoryError"), ("disk_full", "OSError")],
)
def test_a_graph_node_raises_so_often_and_then_no_more(comfy, fault, do, exception):
    fault("run SaveImage", do, count=2)

    entries = [comfy.run(picture()) for _ in range(3)]

    assert [entry["status"]["completed"] for entry in entries] == [False, False, True]
    kind, told = entries[0]["status"]["messages"][-1]
    assert (kind, told["node_type"]) == ("execution_error", "SaveImage")
    assert told["exception_type"] == exception


def test_somebody_interrupts_a_prompt(comfy, fault):
    fault("run SaveImage", "interrupt")

    assert comfy.run(picture())["status"]["messages"][-1][0] == "execution_interrupted"


@pytest.mark.parametrize("place", ["accept", "prompt", "run SaveImage"])
def test_a_prompt_is_forgotten_and_the_next_one_runs(comfy, fault, place):
    fault(place, "forget")
    forgotten = comfy.queue_prompt(picture())

    assert comfy.run(picture())["status"]["completed"]

    assert comfy.entry(forgotten) is None
    assert comfy.remaining() == 0


def test_history_is_lost_or_late_or_short(comfy, fault):
    fault("end", "lose")
    lost = comfy.queue_prompt(picture())
    fault("end", "late", seconds=LATE_S)
    client_id = new_id()
    ears = comfy.listen(client_id)
    late = comfy.queue_prompt(picture(), client_id=client_id)

    ears.until(lambda one: one["type"] == "execution_success")
    assert comfy.entry(late) is None
    assert comfy.ended(late)["outputs"]
    assert comfy.entry(lost) is None
    fault("end", "short")
    entry = comfy.run(picture())
    assert entry["status"]["completed"]
    assert entry["outputs"] == {}


def test_somebody_elses_prompt_runs_first(comfy, fault):
    fault("accept", "foreign", seconds=LATE_S)
    began = time.monotonic()
    ours = comfy.queue_prompt(picture())

    assert comfy.ended(ours)["status"]["completed"]

    assert time.monotonic() - began >= LATE_S
    notes = comfy.get("/standin/journal").json()["prompts"]
    assert [note["prompt_id"] == ours for note in notes] == [False, True]
    assert comfy.entry(notes[0]["prompt_id"])["status"]["completed"]
