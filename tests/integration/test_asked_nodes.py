"""A worker that holds something against its node, and what a person's word changes of that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from producer.contract.config.node_address import NodeAddress
from producer.contract.nodes import NodeState
from producer.store.backlog import Backlog
from producer.store.node_store import NodeStore
from producer.store.sweeps import Sweeps
from tests.integration.hand_led import LEASE
from tests.integration.test_wished_nodes import register
from tests.polling import wait_until
from worker.comfyui.client import ComfyUI
from worker.node.agent import NodeAgent
from worker.node.health import Health, HealthPolicy
from worker.node.name_lock import NameLock
from worker.node.peers import Peers
from worker.node.registration import Identity
from worker.node.spool import Spool
from worker.node.storage_breaker import StorageBreaker
from worker.scheduling.gate import Gate

POOL = "video"
MINE = "worker-1"


@contextmanager
def serving(led, standin, folder) -> Iterator[NodeAgent]:
    """Have an agent for gpu-01 as a worker has one, that sets its node aside for an hour."""
    nodes = NodeStore(led.redis, lease=LEASE)
    sweeps = Sweeps(led.redis, keep_ended=LEASE)
    backlog = Backlog(led.redis, node="gpu-01", pool=POOL, lease=LEASE)
    agent = NodeAgent(
        Identity(name="gpu-01", pool=POOL, url=standin.url, worker=MINE),
        nodes,
        ComfyUI(NodeAddress.parse(standin.url), node="gpu-01"),
        peers=Peers(nodes, backlog, sweeps, name="gpu-01", pool=POOL),
        health=Health(HealthPolicy(first_s=3600)),
        breaker=StorageBreaker(led.fleet._objects),
        spool=Spool(folder, node="gpu-01"),
        canary_s=5,
        watched=tuple,
        gate=Gate(),
    )
    register(nodes, "gpu-02")  # else nobody sets the last node aside
    with NameLock("gpu-01", fleet=str(folder)) as lock:
        agent.join(lock, timeout=timedelta(seconds=1))
        for _ in range(3):  # before its first check, whose canary could come between
            agent.on_fault("no progress")
        agent.start()
        try:
            yield agent
        finally:
            agent.drain()


def beat(led, agent):
    """Have the worker hear what its next beat tells."""
    nodes = NodeStore(led.redis, lease=LEASE)
    agent.on_desired(nodes.beat("gpu-01", worker=MINE).wanted)


def wait_for(led, state):
    def seen():
        return next(node for node in led.fleet.nodes() if node.name == "gpu-01")

    wait_until(lambda: seen().state is state, description=f"it is {state}")
    return seen()


@pytest.mark.parametrize("verb", ["clear", "probe"])
def test_a_node_that_its_worker_set_aside_is_tried_or_taken_for_well_by_a_persons_word(
    led, standin, tmp_path, verb
):
    with serving(led, standin, tmp_path) as agent:
        assert wait_for(led, NodeState.QUARANTINED).reason.endswith("set aside for 3600 s")
        beat(led, agent)
        assert wait_for(led, NodeState.QUARANTINED)
        getattr(led.fleet, f"{verb}_nodes")(["gpu-01"])
        beat(led, agent)
        node = wait_for(led, NodeState.READY)
        if verb == "clear":
            assert (node.reason, node.probe) == ("", "")
        else:
            assert node.reason == "on trial: its next job decides"
            assert node.probe.startswith("passed, ")
