"""The websocket: who is told what, and how a socket goes deaf."""

from __future__ import annotations

import json
import struct

import pytest

from tests.contract.comfy import new_id
from tests.contract.graphs import picture, sleeping
from tests.contract.long_prompts import LONG, goes_on, long_prompt, stop

JPEG = b"\xff\xd8\xff"
#: Types that a prompt with a client id sends to its client alone.
OF_THE_CLIENT = {"execution_start", "execution_cached", "executing", "executed", "progress"}


def types(messages):
    """Return the set of types among *messages*."""
    return {one["type"] for one in messages}


def test_the_parameter_is_called_client_id_in_camel_case(comfy):
    client_id = new_id()

    assert comfy.connect(f"/ws?clientId={client_id}").sid == client_id
    for query in (f"?client_id={client_id}", f"?clientid={client_id}", "?clientId=", ""):
        assert comfy.connect(f"/ws{query}").sid not in {client_id, ""}


def test_the_socket_has_an_api_twin(comfy):
    assert comfy.connect("/api/ws?clientId=twin").sid == "twin"


def test_only_the_first_status_has_a_sid(comfy):
    ears = comfy.listen()
    prompt_id = comfy.queue_prompt(picture(), client_id=ears.sid)
    heard = ears.until_done(prompt_id)

    assert ears.heard[0]["data"]["status"] == {"exec_info": {"queue_remaining": 0}}
    assert all("sid" not in one["data"] for one in heard)


def test_a_socket_that_comes_back_is_told_the_current_graph_node_without_the_prompt(lab):
    ears = lab.listen()
    client_id = ears.sid
    prompt_id = lab.queue_prompt(sleeping(LONG, 600), client_id=client_id)
    goes_on(ears, prompt_id)
    ears.close()

    back = lab.listen(client_id)
    first = back.until(lambda one: one["type"] == "executing")

    assert first["data"] == {"node": "2"}
    stop(lab, prompt_id)
    back.until_done(prompt_id)


def test_a_second_socket_of_the_same_client_takes_over(lab):
    first = lab.listen()
    second = lab.listen(first.sid)

    prompt_id = lab.queue_prompt(sleeping(0.1), client_id=first.sid)

    assert types(second.until_done(prompt_id)) >= OF_THE_CLIENT
    assert first.hears_nothing()


def test_when_the_old_socket_closes_the_new_one_goes_deaf(lab):
    witness = lab.listen()
    old = lab.listen()
    new = lab.listen(old.sid)
    old.close()

    prompt_id = lab.queue_prompt(sleeping(0.1), client_id=new.sid)
    lab.ended(prompt_id)
    witness.until(lambda one: one["data"]["status"]["exec_info"]["queue_remaining"] == 0)

    assert new.hears_nothing()


def test_other_clients_hear_only_the_status(lab):
    ears, stranger = lab.listen(), lab.listen()
    prompt_id = lab.queue_prompt(sleeping(0.1), client_id=ears.sid)
    ears.until_done(prompt_id)
    heard_before = len(stranger.heard)

    last = lab.queue_prompt(picture(), client_id=stranger.sid)
    stranger.until_done(last)

    about_the_first = [one for one in stranger.heard if prompt_id in json.dumps(one)]
    assert heard_before == 1
    assert about_the_first == []


def test_without_a_client_id_progress_goes_to_all_and_the_rest_to_none(lab):
    ears = lab.listen()
    anonymous = lab.queue_prompt(sleeping(0.1, 2))
    lab.ended(anonymous)
    last = lab.queue_prompt(picture(), client_id=ears.sid)
    ears.until_done(last)

    about_it = types(one for one in ears.heard if one["data"].get("prompt_id") == anonymous)
    assert about_it == {"progress", "progress_state"}


def test_an_empty_client_id_silences_a_prompt(lab):
    ears = lab.listen()
    silent = lab.queue_prompt(sleeping(0.1, 2), client_id="")
    lab.ended(silent)
    last = lab.queue_prompt(picture(), client_id=ears.sid)
    ears.until_done(last)

    assert silent not in json.dumps(ears.heard)


def test_an_interrupt_of_an_anonymous_prompt_is_told_to_all(lab):
    ears = lab.listen()
    anonymous = long_prompt(lab, anonymous=True)

    lab.post("/interrupt", json={"prompt_id": anonymous})

    told = ears.until(lambda one: one["type"] == "execution_interrupted")
    assert told["data"]["prompt_id"] == anonymous


def test_messages_go_to_the_client_that_connects_after_the_post(lab):
    client_id = new_id()
    prompt_id = lab.queue_prompt(sleeping(LONG, 600), client_id=client_id)

    goes_on(lab.listen(client_id), prompt_id)


def test_feature_flags_are_answered_as_a_first_message_only(comfy):
    offer = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    ears = comfy.listen()
    ears.say(offer)

    answer = ears.until(lambda one: one["type"] == "feature_flags")["data"]

    assert answer == comfy.get("/features").json()
    assert answer["supports_preview_metadata"] is True
    ears.say(offer)
    assert ears.hears_nothing()


@pytest.mark.parametrize("text", ["hello", "[1]", '{"type": "hello"}'])
def test_other_words_are_ignored_and_the_socket_stays_open(comfy, text):
    ears = comfy.listen()
    ears.say(text)

    assert ears.until_done(comfy.queue_prompt(picture(), client_id=ears.sid))


def test_a_preview_is_a_binary_frame_of_event_1(lab):
    ears = lab.listen()
    ears.until_done(lab.queue_prompt(sleeping(0.1, 2, preview=True), client_id=ears.sid))

    event, format_ = struct.unpack(">II", ears.frames[0][:8])
    assert (len(ears.frames), event, format_) == (2, 1, 1)
    assert ears.frames[0][8:].startswith(JPEG)


def test_a_client_that_asked_for_metadata_gets_event_4(lab):
    ears = lab.listen()
    ears.say(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
    ears.until(lambda one: one["type"] == "feature_flags")
    prompt_id = lab.queue_prompt(sleeping(0.1, 1, preview=True), client_id=ears.sid)
    ears.until_done(prompt_id)

    event, size = struct.unpack(">II", ears.frames[0][:8])
    about = json.loads(ears.frames[0][8 : 8 + size])
    assert event == 4
    assert (about["node_id"], about["prompt_id"]) == ("2", prompt_id)
    assert about["image_type"] == "image/jpeg"
    assert ears.frames[0][8 + size :].startswith(JPEG)
