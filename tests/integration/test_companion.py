"""The worker's way to a node's companion, on both protocol ages and, if asked for, a real ComfyUI."""

from __future__ import annotations

import uuid

import pytest
import requests

from tests.integration.nodes import NODES, open_node, raising_graph, sleeping_graph
from tests.polling import wait_until
from worker.attempt.retry import cause_of
from worker.comfyui.client import ComfyUI
from worker.comfyui.companion import CompanionStatus
from worker.errors import (
    NodeFault,
    NodeUnreachable,
    OutputDamaged,
    OutputMissing,
    OutputPending,
    OutputUnwritten,
    PromptStalled,
)


@pytest.fixture(params=NODES)
def node(request, tmp_path):
    """A node with the companion, and a client."""
    with (
        open_node(request.param, tmp_path, companion=True) as url,
        ComfyUI(url, node="gpu-01") as comfyui,
    ):
        if comfyui.companion.find() is None:
            pytest.skip("this ComfyUI lacks the companion")
        yield comfyui


def saved_by(comfyui, prefix):
    """Have a picture saved below *prefix* and return what the history lists of it."""
    graph = sleeping_graph()
    graph["3"]["inputs"]["filename_prefix"] = prefix
    prompt_id = str(uuid.uuid4())
    comfyui.queue_prompt(graph, prompt_id=prompt_id, client_id=str(uuid.uuid4()))
    wait_until(lambda: comfyui.history(prompt_id), description="it ended")
    return comfyui.history(prompt_id).outputs


def is_there(comfyui, output):
    try:
        with comfyui.view(output):
            return True
    except (OutputDamaged, OutputPending):
        return False


def test_a_node_tells_how_it_is(node):
    status = node.companion.check_executes()
    assert status.executes is True
    assert status.vram_free > 0


def test_what_the_fleet_made_is_discarded_and_nothing_else(node):
    [ours] = saved_by(node, f"comfyfleet/{uuid.uuid4()}-1/3")
    [theirs] = saved_by(node, "theirs/p")

    node.companion.delete_outputs([ours, theirs])

    assert (is_there(node, ours), is_there(node, theirs)) == (False, True)


@pytest.mark.parametrize(
    ("encoding", "gained_s"),
    [
        (None, None),
        ({"encoded_s": 61.5, "blocked_s": 1.5}, 60.0),
        ({"encoded_s": 1, "blocked_s": 2}, 0.0),
        ({"encoded_s": "1", "blocked_s": 2}, None),
        ({"encoded_s": float("nan"), "blocked_s": 2}, None),
        ({"encoded_s": True, "blocked_s": 0}, None),
    ],
)
def test_what_it_gained_is_what_was_encoded_less_what_a_render_waited_for(encoding, gained_s):
    assert CompanionStatus.parse({"encoding": encoding}).gained_s == gained_s


def test_why_a_file_was_not_written_is_asked_for_and_the_cause_is_its(tmp_path):
    with (
        open_node("0.33.0", tmp_path, companion=True) as url,
        ComfyUI(url, node="gpu-01") as comfyui,
    ):
        assert comfyui.companion.find()
        rule = {"on": "encode SaveImage", "do": "disk_full"}
        requests.post(f"{url}/standin/faults", json=rule, timeout=5).raise_for_status()
        [output] = saved_by(comfyui, "comfyfleet/job-1/3")

        with pytest.raises(OutputUnwritten, match="graph node 3 raised OSError") as told:
            comfyui.view(output).__enter__()
        assert cause_of(told.value) == "disk_full"
        for answer in ("[]", "{}", '{"failed": 7}', '{"failed": [{"exception_type": "E"}]}', "<p>"):
            rule = {
                "on": "POST /comfyfleet/v1/failed",
                "do": "answer",
                "status": 200,
                "body": answer,
            }
            requests.post(f"{url}/standin/faults", json=rule, timeout=5).raise_for_status()
            with pytest.raises(OutputMissing, match="no longer has"):
                comfyui.view(output).__enter__()


def test_a_file_that_does_not_come_is_told_before_the_worker_loses_patience(tmp_path, monkeypatch):
    monkeypatch.setattr("infra.standin.routes_files._WAIT_S", 0.1)
    with (
        open_node("0.33.0", tmp_path, companion=True) as url,
        ComfyUI(url, node="gpu-01") as comfyui,
    ):
        rule = {"on": "encode SaveImage", "do": "hang"}
        requests.post(f"{url}/standin/faults", json=rule, timeout=5).raise_for_status()
        [output] = saved_by(comfyui, "comfyfleet/job-1/3")

        with pytest.raises(OutputPending) as told:
            comfyui.view(output).__enter__()
        assert told.value.written == "0"
        requests.delete(f"{url}/standin/faults", timeout=5)
        wait_until(lambda: is_there(comfyui, output), description="it is written")


def test_a_node_without_a_companion_is_asked_no_more(tmp_path):
    with open_node("0.33.0", tmp_path) as url, ComfyUI(url, node="gpu-01") as comfyui:
        [ours] = saved_by(comfyui, "comfyfleet/job-1/3")
        assert comfyui.companion.find() is None

        requests.post(
            f"{url}/standin/faults", json={"on": "* /comfyfleet/*", "do": "close"}, timeout=5
        )
        assert comfyui.companion.check_executes() is None
        comfyui.companion.delete_outputs([ours])

        assert is_there(comfyui, ours)


def test_a_dead_executor_is_a_stall(tmp_path):
    with (
        open_node("0.33.0", tmp_path, companion=True) as url,
        ComfyUI(url, node="gpu-01") as comfyui,
    ):
        assert comfyui.companion.find()
        graph = raising_graph("")
        graph["2"]["inputs"]["kind"] = "exit"
        comfyui.queue_prompt(graph, prompt_id=str(uuid.uuid4()), client_id="me")
        wait_until(lambda: comfyui.companion.status().executes is False, description="it died")

        with pytest.raises(PromptStalled, match="only a restart of ComfyUI helps"):
            comfyui.companion.check_executes()


@pytest.mark.parametrize(
    ("do", "kind"),
    [("answer", NodeUnreachable), ("html", NodeUnreachable), ("empty", NodeFault)],
)
def test_another_answer_is_a_fault_but_not_of_a_discard(tmp_path, do, kind):
    with (
        open_node("0.33.0", tmp_path, companion=True) as url,
        ComfyUI(url, node="gpu-01") as comfyui,
    ):
        [ours] = saved_by(comfyui, "comfyfleet/job-1/3")
        assert comfyui.companion.find()
        rule = {"on": "* /comfyfleet/*", "do": do, "count": 0}
        requests.post(f"{url}/standin/faults", json=rule, timeout=5).raise_for_status()

        with pytest.raises(kind):
            comfyui.companion.status()
        comfyui.companion.delete_outputs([ours])
        assert is_there(comfyui, ours) is (do == "answer")  # otherwise only the answer suffers
