"""What becomes of the prompts of lapsed attempts; with a real Redis and a server for a node."""

from __future__ import annotations

import pytest
from aiohttp import web

from producer.contract.config.node_address import NodeAddress
from producer.contract.nodes import NodeState
from producer.store.node_store import NodeStore
from tests.integration.hand_led import LEASE
from tests.integration.scripted_node import scripted_node
from worker.attempt.expired_leases import PromptInterrupter

#: The node of the worker that interrupts others'.
OWN = NodeAddress.parse("http://me:secret@127.0.0.1:1")


class Clock:
    """Goes on by so much whenever it is read."""

    def __init__(self, *, step_s: float) -> None:
        self.now, self.step_s = 100.0, step_s

    def __call__(self) -> float:
        self.now += self.step_s
        return self.now


@pytest.fixture
def there(led):
    """A ComfyUI that answers, of node `there`; its neighbour `gone` on that host does not."""

    async def well(_: web.Request) -> web.Response:
        return web.json_response({})

    with scripted_node({"POST /queue": well, "POST /interrupt": well}) as there:
        nodes = NodeStore(led.redis, lease=LEASE)
        for name, url in (("there", there.url), ("gone", "http://127.0.0.1:1")):
            fields = {"pool": "default", "url": url, "state": NodeState.READY}
            nodes.register(name, worker=f"{name}:1", fields=fields)
        yield there


def test_a_host_that_was_silent_is_left_alone_for_a_while(led, there):
    gone, left = led.running(node="gone"), led.running(node="there")
    clock = Clock(step_s=2)
    interrupt = PromptInterrupter(NodeStore(led.redis, lease=LEASE), own=OWN, clock=clock)
    interrupt(gone)
    interrupt(left)
    assert there.asked == []
    clock.now += 15
    interrupt(left)
    assert "POST /interrupt" in there.asked


def test_a_node_that_refuses_at_once_says_nothing_of_its_host(led, there):
    interrupt = PromptInterrupter(NodeStore(led.redis, lease=LEASE), own=OWN, clock=Clock(step_s=0))
    interrupt(led.running(node="gone"))
    interrupt(led.running(node="there"))
    assert "POST /interrupt" in there.asked


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_credentials_go_along_to_ones_own_host_alone(led, there, host):
    fields = {"pool": "default", "url": there.url.replace("127.0.0.1", host), "state": "ready"}
    NodeStore(led.redis, lease=LEASE).register("there", worker="there:1", fields=fields)
    interrupt = PromptInterrupter(NodeStore(led.redis, lease=LEASE), own=OWN, clock=Clock(step_s=0))
    interrupt(led.running(node="there"))
    assert "POST /interrupt" in there.asked
    assert ("Authorization" in there.headers[-1]) is (host == OWN.host)


def test_a_node_whose_record_holds_no_address_is_left_alone(led, there):
    fields = {"pool": "default", "url": "http://[", "state": "ready"}
    NodeStore(led.redis, lease=LEASE).register("there", worker="there:1", fields=fields)
    interrupt = PromptInterrupter(NodeStore(led.redis, lease=LEASE), own=OWN, clock=Clock(step_s=9))
    interrupt(led.running(node="there"))
    assert there.asked == []
