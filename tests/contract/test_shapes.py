"""The messages of a prompt, in the order in which they were recorded."""

from __future__ import annotations

import pytest

from tests.contract import shapes
from tests.contract.comfy import fresh
from tests.contract.graphs import picture, raising, save, saying, sleeping


@pytest.fixture
def told(lab):
    """Run a graph and return the messages its client got."""
    ears = lab.listen()

    def run(graph):
        return ears.until_done(lab.queue_prompt(graph, client_id=ears.sid))

    return run


def shaped(messages):
    """Return the shapes of *messages*."""
    return [shapes.shape(one) for one in messages]


def test_a_normal_run(told):
    messages = told(sleeping(0.36, 3))

    assert shaped(messages) == shapes.NORMAL
    assert shapes.keys_fit(messages)


def test_the_same_graph_again(told):
    graph = sleeping(0.05, 1)
    told(graph)

    messages = told(graph)

    assert shaped(messages) == shapes.CACHED
    assert shapes.keys_fit(messages)
    assert sorted(messages[3]["data"]["nodes"]) == ["1", "2", "3"]


def test_the_same_graph_with_another_output(told):
    graph = sleeping(0.05, 1)
    told(graph)
    graph["3"] = save("2", "contract/other")

    messages = told(graph)

    assert shaped(messages) == shapes.PARTLY_CACHED
    assert sorted(messages[3]["data"]["nodes"]) == ["1", "2"]


def test_a_graph_node_that_raises(told):
    graph = raising("runtime")
    del graph["2"]

    messages = told(graph)

    assert shaped(messages) == shapes.ERROR
    assert shapes.keys_fit(messages)


def test_a_partly_refused_graph_runs_as_if_the_bad_output_were_not_there(lab):
    ears = lab.listen()
    graph = sleeping(0.36, 3) | {"9": save("404")}

    answer = lab.submit(graph, client_id=ears.sid).json()

    assert shaped(ears.until_done(answer["prompt_id"])) == shapes.NORMAL


def test_an_interrupt_between_two_steps(lab):
    ears = lab.listen()
    prompt_id = lab.queue_prompt(sleeping(4.0, 4), client_id=ears.sid)
    ears.until(lambda one: one["type"] == "progress")
    lab.post("/interrupt", json={"prompt_id": prompt_id})
    ears.until_done(prompt_id)

    messages = ears.heard[1:]
    assert shaped(messages) == shapes.INTERRUPTED
    assert shapes.keys_fit(messages)


def test_progress_comes_at_every_step_or_is_thinned_out_today(lab, told):
    messages = told(sleeping(0.4, 40))

    values = [one["data"]["value"] for one in messages if one["type"] == "progress"]
    assert (values[0], values[-1]) == (1, 40)
    if lab.is_current:
        assert len(values) < 10
    else:
        assert values == list(range(1, 41))


def test_an_output_that_is_ready_goes_before_other_work(told):
    messages = told(picture() | {"9": saying(f"t{fresh()}", "plain")["1"]})

    order = [one["data"]["node"] for one in messages if one["type"] == "executing"]
    assert order == ["9", "1", "2", None]


def test_progress_state_repeats_every_graph_node_touched_so_far(told):
    messages = told(sleeping(0.1, 2))

    last = next(one for one in reversed(messages) if one["type"] == "progress_state")
    states = {name: one["state"] for name, one in last["data"]["nodes"].items()}
    assert states == {"1": "finished", "2": "finished", "3": "finished"}
    assert last["data"]["nodes"]["2"]["value"] == last["data"]["nodes"]["2"]["max"] == 2
