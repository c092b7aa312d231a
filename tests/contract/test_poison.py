"""What breaks a ComfyUI (0.3.64 and 0.33.0, protocol facts). Only ever tried on a stand-in.

A dead executor: HTTP answers as before, the bad prompt stays in the queue as running, and nothing runs
any more until a restart.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
import requests

from infra.standin.process import StandinProcess
from tests.contract.comfy import REAL_URL, Comfy
from tests.contract.graphs import graph_node, picture, raising
from tests.polling import wait_until

POISON = {
    "an unused graph node without inputs": picture() | {"77": {"class_type": "EmptyImage"}},
    "an undeclared link to nothing": {
        "1": graph_node("EmptyImage", width=8, height=8, batch_size=1, color=1, junk=["99", 0]),
        "2": graph_node("SaveImage", images=["1", 0], filename_prefix="x"),
    },
    "a graph node that exits": raising("exit"),
    "an error whose text raises": raising("without text"),
}


@pytest.mark.parametrize("poison", POISON)
def test_the_executor_dies_and_http_goes_on(doomed, poison):
    prompt_id = doomed.queue_prompt(POISON[poison])
    doomed.started(prompt_id)
    ears = doomed.listen()
    healthy = doomed.queue_prompt(picture(), client_id=ears.sid)
    # What the poison did before it struck may still be told, to everybody.
    wait_until(ears.hears_nothing, description="its executor is quiet")

    doomed.post("/interrupt")

    assert ears.hears_nothing()
    assert doomed.running() == [prompt_id]
    assert doomed.pending() == [healthy]
    assert doomed.entry(healthy) is None


def test_extra_data_of_null_killed_the_old_version_and_is_a_500_today(doomed):
    answer = doomed.submit(picture(), extra_data=None)

    if doomed.is_current:
        assert answer.status_code == 500
        assert doomed.run(picture())
    else:
        doomed.started(answer.json()["prompt_id"])


@pytest.mark.skipif(bool(REAL_URL), reason="would break a real server")
def test_a_client_id_that_is_a_list_ends_the_process(tmp_path):
    with StandinProcess(tmp_path) as standin, Comfy(standin.url) as comfy:
        with suppress(requests.ConnectionError):  # the answer may be lost with the process
            comfy.submit(picture(), client_id=["a"])

        assert standin.process.wait(10) != 0


def test_an_unused_link_to_nothing_does_no_harm(doomed):
    graph = picture() | {"77": graph_node("ImageInvert", image=["99", 0])}

    assert doomed.run(graph)["status"]["status_str"] == "success"
