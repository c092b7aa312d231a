"""Websockets that never open, drop or go deaf, and nodes that are gone for a while or for good."""

from __future__ import annotations

import pytest
import requests
import websocket

from infra.standin.process import StandinProcess
from tests.contract.comfy import Comfy, new_id, wait_until
from tests.contract.graphs import picture, sleeping
from tests.integration.standin_faults.faults import LATE_S, fired


def test_a_websocket_never_opens(standin, fault):
    address = f"ws{standin.url.removeprefix('http')}/ws"
    fault("GET /ws", "hang")
    with pytest.raises((TimeoutError, websocket.WebSocketTimeoutException)):
        websocket.create_connection(address, timeout=LATE_S)

    fault("GET /ws", "answer", status=502)
    with pytest.raises(websocket.WebSocketBadStatusException):
        websocket.create_connection(address, timeout=LATE_S)


def test_a_websocket_drops_after_so_many_messages(comfy, fault):
    client_id = new_id()
    ears = comfy.listen(client_id)
    fault("ws", "drop", after=3)

    entry = comfy.run(picture(), client_id=client_id)

    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        ears.until(lambda _: False)
    assert len(ears.heard) == 1 + 3
    assert entry["status"]["completed"]


def test_a_websocket_goes_deaf_but_stays_open(comfy, fault):
    ears = comfy.listen()
    fault("ws", "swallow", count=0, from_s=LATE_S)
    comfy.run(picture(), client_id=ears.sid)
    assert len(ears.heard) == 1
    ears.until(lambda one: one["type"] == "execution_success")

    def is_deaf():
        comfy.run(picture(), client_id=ears.sid)
        return fired(comfy) > [0]

    wait_until(is_deaf, description="the end of its hearing")
    while not ears.hears_nothing():
        pass  # what was on its way

    comfy.run(picture(), client_id=ears.sid)
    assert ears.hears_nothing()


def test_a_flapping_node_is_gone_and_back_with_its_sockets_cut(comfy, fault):
    ears = comfy.listen()
    fault("* /*", "vanish", count=0, for_s=LATE_S, every_s=2 * LATE_S)

    def answers():
        try:
            return comfy.get("/queue").status_code == 200
        except requests.ConnectionError:
            return False

    for _ in range(2):
        wait_until(lambda: not answers(), description="the node to go")
        wait_until(answers, description="the node to come back")
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        ears.until(lambda _: False)


def test_the_process_ends_in_the_middle_of_a_prompt(tmp_path):
    with StandinProcess(tmp_path) as node, Comfy(node.url) as comfy:
        rule = {"on": "step", "do": "exit", "after": 2}
        comfy.post("/standin/faults", json=rule)
        comfy.queue_prompt(sleeping(0.1, steps=5))

        assert node.process.wait(10) == 1
