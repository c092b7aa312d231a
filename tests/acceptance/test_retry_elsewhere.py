"""What all nodes fail at waits; what one fails at in words that nobody knows has it doubted."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests

from infra.standin.process import StandinProcess
from producer.contract.jobs import JobStatus
from producer.contract.nodes import NodeState
from tests.acceptance.serving import Serving
from tests.graphs import fresh_nonce, rendering
from tests.polling import wait_until

PATIENCE = timedelta(seconds=30)
MODEL = "v1-5-pruned-emaonly.safetensors"


@pytest.fixture
def hurt(stack, fleet):
    """Script faults of a node by its name; it is well again afterwards."""
    urls = {node.name: node.url for node in stack.nodes}

    def script(name, **rule):
        requests.post(f"{urls[name]}/standin/faults", json=[rule], timeout=5).raise_for_status()

    yield script
    for url in urls.values():
        requests.delete(f"{url}/standin/faults", timeout=5)
    wait_until(
        lambda: {n.state for n in fleet.nodes() if n.name in urls} == {NodeState.READY},
        description="all are well",
        within_s=40,
    )


def test_a_queue_waits_for_a_card_that_is_broken_on_all_nodes(fleet, stack, hurt):
    body = "CUDA error: an illegal memory access was encountered"
    for node in stack.nodes:
        hurt(node.name, on="run *", do="raise", body=body, count=0)
    jobs = [fleet.submit(rendering(MODEL, seed=fresh_nonce())) for _ in range(6)]
    wait_until(
        lambda: all(node.state is not NodeState.READY for node in fleet.nodes()),
        description="both are doubted",
        within_s=20,
    )
    assert not any(fleet.get(job.id).done for job in jobs)
    for node in stack.nodes:
        requests.delete(f"{node.url}/standin/faults", timeout=5)
    for job in jobs:
        assert fleet.wait(job.id, timeout=PATIENCE).charged_attempts == 0


def test_a_node_that_fails_in_words_that_nobody_knows_what_others_render_is_doubted(
    fleet, stack, node, serve, tmp_path
):
    odd = {"on": "run KSampler", "do": "raise", "body": "frobnicator out of phase", "count": 0}
    requests.post(f"{node.url}/standin/faults", json=[odd], timeout=5).raise_for_status()
    with (
        StandinProcess(tmp_path / "well") as other,
        serve("odd", "contradicted"),
        Serving(stack, fleet, other.url, tmp_path)("well", "contradicted"),
    ):
        jobs = [
            fleet.submit(rendering(MODEL, seed=fresh_nonce()), pool="contradicted")
            for _ in range(8)
        ]
        seen = set()

        def is_doubted():
            seen.update(node.reason for node in fleet.nodes() if node.name == "odd")
            return any("jobs failed alike here and were rendered elsewhere" in why for why in seen)

        wait_until(is_doubted, description="the odd node is doubted")
        ended = [fleet.wait(job.id, timeout=PATIENCE) for job in jobs]
        assert {job.status for job in ended} == {JobStatus.SUCCEEDED}
