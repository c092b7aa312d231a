"""POST /prompt: what is accepted, under which id, and what is refused as a whole."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.contract.comfy import new_id, wait_until
from tests.contract.graphs import blank, graph_node, picture, save
from tests.contract.long_prompts import long_prompt


def test_the_prompt_id_is_taken_as_given(comfy):
    prompt_id = str(uuid.uuid5(uuid.NAMESPACE_URL, new_id()))

    answer = comfy.submit(picture(), prompt_id=prompt_id, client_id=new_id())

    assert answer.status_code == 200
    assert answer.json().keys() == {"prompt_id", "number", "node_errors"}
    assert answer.json()["prompt_id"] == prompt_id
    assert comfy.ended(prompt_id)["prompt"][1] == prompt_id


def test_without_a_prompt_id_the_server_makes_one(comfy):
    prompt_id = comfy.submit(picture()).json()["prompt_id"]

    assert str(uuid.UUID(prompt_id)) == prompt_id
    assert comfy.ended(prompt_id)


def test_a_null_prompt_id_is_absent_today_and_was_a_word_before(comfy):
    prompt_id = comfy.submit(picture(), prompt_id=None).json()["prompt_id"]

    assert comfy.ended(prompt_id)
    assert (prompt_id == "None") is not comfy.is_current


@pytest.mark.parametrize("prompt_id", ["no-uuid", "9A0B6C0E-5F0A-4F7C-9D61-0C3E5B7A2D48", 17])
def test_only_a_canonical_uuid_is_a_prompt_id_today(comfy, prompt_id):
    answer = comfy.submit(picture(), prompt_id=prompt_id)

    if comfy.is_current:
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "invalid_prompt_id"
        assert answer.json()["node_errors"] == {}
    else:
        assert comfy.ended(answer.json()["prompt_id"])["prompt"][1] == str(prompt_id)


def test_the_same_prompt_id_twice_runs_twice_and_history_keeps_the_last(comfy):
    prompt_id = new_id()
    first = comfy.run(picture(), prompt_id=prompt_id)
    with_another_number = comfy.queue_prompt(picture(), prompt_id=prompt_id)

    assert with_another_number == prompt_id
    wait_until(  # the queue may be empty a moment before the entry is there
        lambda: comfy.entry(prompt_id)["prompt"][0] > first["prompt"][0],
        description="history keeps the last",
    )


def test_the_content_type_is_not_looked_at(comfy):
    answer = comfy.post("/prompt", data='{"prompt": {}}', headers={"Content-Type": "text/plain"})

    assert answer.json()["error"]["type"] == "prompt_no_outputs"


@pytest.mark.parametrize(
    "body",
    ["", "{nope", '{"prompt": null}', '{"prompt": "abc"}', '{"prompt": {"1": 5}}'],
    ids=["empty", "no JSON", "null", "text", "a graph node that is no object"],
)
def test_what_is_no_graph_at_all_is_a_500_in_plain_text(comfy, body):
    answer = comfy.post("/prompt", data=body)

    assert answer.status_code == 500
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_the_editors_own_format_is_a_500(comfy):
    workflow = {"last_node_id": 3, "nodes": [], "links": []}

    assert comfy.submit(workflow).status_code == 500


@pytest.mark.parametrize("body", [picture(), [], "x", {"client_id": "c"}])
def test_a_body_without_a_prompt_is_refused_a_bare_graph_too(comfy, body):
    answer = comfy.post("/prompt", data=json.dumps(body))

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "no_prompt"


def test_a_graph_without_an_output_is_refused(comfy):
    answer = comfy.submit({"1": blank()})

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "prompt_no_outputs"
    assert answer.json()["node_errors"] == {}


@pytest.mark.parametrize("content", [graph_node("NoSuchClass"), {"inputs": {}}])
def test_one_unknown_class_anywhere_refuses_the_whole_graph(comfy, content):
    answer = comfy.submit({**picture(), "77": content})

    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["type"] == ("missing_node_type" if comfy.is_current else "invalid_prompt")
    assert error["details"] == "Node ID '#77'"
    assert answer.json()["node_errors"] == {}
    if comfy.is_current:
        assert error["extra_info"].keys() == {"node_id", "class_type", "node_title"}


def test_partial_execution_targets_choose_among_the_outputs(comfy):
    graph = {"1": blank(), "2": save("1"), "3": save("1", "contract/other")}

    entry = comfy.run(graph, partial_execution_targets=["3"])

    assert entry["prompt"][4] == ["3"]
    assert entry["outputs"].keys() == {"3"}


@pytest.mark.parametrize("targets", [[], ["1"]])
def test_targets_without_an_output_are_refused(comfy, targets):
    answer = comfy.submit(picture(), partial_execution_targets=targets)

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "prompt_no_outputs"


def test_an_equal_id_and_number_while_pending_is_a_500_and_runs_all_the_same(lab):
    long_prompt(lab)
    prompt_id = new_id()
    lab.queue_prompt(picture(), prompt_id=prompt_id, number=5)

    answer = lab.submit(picture(), prompt_id=prompt_id, number=5)

    assert answer.status_code == 500
    assert lab.pending() == [prompt_id, prompt_id]


def test_a_number_that_is_none_is_a_500(comfy):
    assert comfy.submit(picture(), number="abc").status_code == 500
    assert comfy.remaining() == 0


def test_extra_data_is_kept_and_secrets_are_not(comfy):
    secrets = {"api_key_comfy_org": "secret", "mark": "kept"}

    entry = comfy.run(picture(), extra_data=secrets, client_id="somebody")

    extra_data = entry["prompt"][3]
    assert extra_data["mark"] == "kept"
    assert extra_data["client_id"] == "somebody"
    assert "api_key_comfy_org" not in extra_data
