"""The queue: what is shown, in what order it runs, and how a prompt is dropped or stopped."""

from __future__ import annotations

import pytest

from tests.contract.comfy import new_id, wait_until
from tests.contract.graphs import blank, graph_node, picture, save, sleeping

LONG = 30.0


def outcome(entry):
    """Return the type of the last message that history keeps; the verdict on a prompt."""
    return entry["status"]["messages"][-1][0]


@pytest.fixture
def busy(lab):
    """A ComfyUI that runs a prompt of half a minute, noticing an interrupt every 50 ms."""
    prompt_id = lab.queue_prompt(sleeping(LONG, 600), client_id=new_id())
    lab.started(prompt_id)
    return lab, prompt_id


def test_queue_shows_number_id_graph_extra_data_and_outputs(busy):
    comfy, running = busy
    pending = comfy.queue_prompt(picture(), client_id="me")

    shown = comfy.get("/queue").json()

    assert shown.keys() == {"queue_running", "queue_pending"}
    assert [item[1] for item in shown["queue_running"]] == [running]
    number, prompt_id, graph, extra_data, outputs = shown["queue_pending"][0]
    assert isinstance(number, int)
    assert prompt_id == pending
    assert graph["2"]["class_type"] == "SaveImage"
    assert extra_data["client_id"] == "me"
    assert outputs == ["2"]
    assert comfy.remaining() == 2


def test_a_pending_prompt_is_dropped_without_a_word_or_a_trace(busy):
    comfy, running = busy
    ears = comfy.listen()
    dropped = comfy.queue_prompt(picture(), client_id=ears.sid)

    answer = comfy.post("/queue", json={"delete": [dropped]})
    comfy.post("/interrupt", json={"prompt_id": running})
    comfy.ended(running)
    last = comfy.queue_prompt(picture(), client_id=ears.sid)
    heard = ears.until_done(last)

    assert (answer.status_code, answer.content) == (200, b"")
    assert dropped not in str(heard)
    assert comfy.entry(dropped) is None


def test_deleting_the_running_prompt_or_an_unknown_one_changes_nothing(busy):
    comfy, running = busy

    answer = comfy.post("/queue", json={"delete": [running, new_id()]})

    assert answer.status_code == 200
    assert comfy.running() == [running]


def test_delete_takes_one_of_two_pending_prompts_of_the_same_id(busy):
    comfy, _ = busy
    prompt_id = new_id()
    comfy.queue_prompt(picture(), prompt_id=prompt_id)
    comfy.queue_prompt(picture(), prompt_id=prompt_id)

    comfy.post("/queue", json={"delete": [prompt_id]})

    assert comfy.pending() == [prompt_id]


def test_clear_drops_everything_that_waits(busy):
    comfy, running = busy
    comfy.queue_prompt(picture())
    comfy.queue_prompt(picture())

    comfy.post("/queue", json={"clear": True})

    assert comfy.pending() == []
    assert comfy.running() == [running]


def test_prompts_run_by_number_and_front_goes_before_all(lab):
    running = lab.queue_prompt(sleeping(0.5, 5))
    lab.started(running)
    later = lab.queue_prompt(picture())
    front = lab.queue_prompt(picture(), front=True)
    half = lab.queue_prompt(picture(), number="0.5")
    newest_front = lab.queue_prompt(picture(), front=True)

    lab.ended(later)

    order = [newest_front, front, half, later]
    assert [one for one in lab.get("/history").json() if one in order] == order


def test_interrupt_by_id_ends_the_running_prompt_as_an_error(busy):
    comfy, running = busy

    answer = comfy.post("/interrupt", json={"prompt_id": running})

    entry = comfy.ended(running)
    assert (answer.status_code, answer.content) == (200, b"")
    assert entry["status"]["status_str"] == "error"
    assert entry["status"]["completed"] is False
    assert outcome(entry) == "execution_interrupted"
    told = entry["status"]["messages"][-1][1]
    assert told.keys() == {"prompt_id", "node_id", "node_type", "executed", "timestamp"}
    assert (told["node_id"], told["node_type"]) == ("2", "ComfyFleetSleep")


def test_interrupt_by_the_id_of_another_prompt_leaves_the_running_one_alone(lab):
    running = lab.queue_prompt(sleeping(0.5, 10))
    lab.started(running)
    pending = lab.queue_prompt(picture())

    for prompt_id in (pending, new_id()):
        lab.post("/interrupt", json={"prompt_id": prompt_id})

    assert outcome(lab.ended(running)) == "execution_success"
    assert outcome(lab.ended(pending)) == "execution_success"


def test_an_interrupt_hits_the_running_prompt_and_not_the_next(busy):
    comfy, running = busy
    pending = comfy.queue_prompt(picture())

    comfy.post("/interrupt", json={"prompt_id": running})

    assert outcome(comfy.ended(running)) == "execution_interrupted"
    assert outcome(comfy.ended(pending)) == "execution_success"


def test_an_interrupt_without_a_body_hits_whatever_runs(busy):
    comfy, running = busy

    assert comfy.post("/interrupt").status_code == 200

    assert outcome(comfy.ended(running)) == "execution_interrupted"


def test_an_interrupt_while_idle_has_no_effect_later(lab):
    lab.post("/interrupt")

    assert outcome(lab.run(sleeping(0.05))) == "execution_success"


def test_a_graph_node_that_never_looks_is_interrupted_only_before_the_next(lab):
    deaf = graph_node("ComfyFleetDeafSleep", image=["1", 0], seconds=0.4, nonce=1)
    prompt_id = lab.queue_prompt({"1": blank(), "2": deaf, "3": save("2")})
    lab.started(prompt_id)
    wait_until(lambda: lab.running() == [prompt_id], description="the deaf node")

    lab.post("/interrupt", json={"prompt_id": prompt_id})

    entry = lab.ended(prompt_id)
    assert outcome(entry) == "execution_interrupted"
    assert entry["status"]["messages"][-1][1]["node_id"] in {"2", "3"}


@pytest.mark.parametrize("path", ["/queue", "/history", "/free"])
def test_an_unreadable_body_is_a_500(comfy, path):
    assert comfy.post(path, data="").status_code == 500


def test_prompt_counts_what_is_pending_and_running(busy):
    comfy, _ = busy
    comfy.queue_prompt(picture())

    assert comfy.get("/prompt").json() == {"exec_info": {"queue_remaining": 2}}
