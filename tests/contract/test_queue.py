"""The queue: what is shown, in what order it runs, and how a prompt is dropped or stopped."""

from __future__ import annotations

import pytest

from tests.contract.comfy import fresh, new_id
from tests.contract.graphs import blank, graph_node, picture, save, sleeping
from tests.contract.long_prompts import goes_on, long_prompt, stop


def outcome(entry):
    """Return the type of the last message that history keeps; the verdict on a prompt."""
    return entry["status"]["messages"][-1][0]


@pytest.fixture
def busy(lab):
    """A ComfyUI that runs a long prompt, and the id of it."""
    return lab, long_prompt(lab)


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
    stop(comfy, running)
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


def test_prompts_run_by_number_and_front_goes_before_all(busy):
    comfy, running = busy
    later = comfy.queue_prompt(picture())
    front = comfy.queue_prompt(picture(), front=True)
    half = comfy.queue_prompt(picture(), number="0.5")
    newest_front = comfy.queue_prompt(picture(), front=True)

    stop(comfy, running)
    comfy.ended(later)

    order = [newest_front, front, half, later]
    assert [one for one in comfy.get("/history").json() if one in order] == order


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
    running = long_prompt(lab, anonymous=True)
    pending = lab.queue_prompt(picture())

    for prompt_id in (pending, new_id()):
        lab.post("/interrupt", json={"prompt_id": prompt_id})

    ears = lab.listen()
    for _ in range(2):
        goes_on(ears, running)
    stop(lab, running)
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
    ears = lab.listen()
    deaf = graph_node("ComfyFleetDeafSleep", image=["1", 0], seconds=1.0, nonce=fresh())
    graph = {"1": blank(), "2": deaf, "3": save("2")}
    prompt_id = lab.queue_prompt(graph, client_id=ears.sid)
    ears.until(lambda one: one["type"] == "executing" and one["data"]["node"] == "2")

    lab.post("/interrupt", json={"prompt_id": prompt_id})

    entry = lab.ended(prompt_id)
    assert outcome(entry) == "execution_interrupted"
    # Told as executing a moment before it runs: an interrupt in between strikes it, too.
    assert entry["status"]["messages"][-1][1]["node_id"] in {"2", "3"}


@pytest.mark.parametrize("path", ["/queue", "/history", "/free"])
def test_an_unreadable_body_is_a_500(comfy, path):
    assert comfy.post(path, data="").status_code == 500


def test_prompt_counts_what_is_pending_and_running(busy):
    comfy, _ = busy
    comfy.queue_prompt(picture())

    assert comfy.get("/prompt").json() == {"exec_info": {"queue_remaining": 2}}
