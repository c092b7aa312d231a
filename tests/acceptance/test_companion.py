"""What a worker does with a node that has the companion."""

from __future__ import annotations

from datetime import timedelta

import pytest
import requests

from infra.local.stack import LocalStack, Options
from producer.client import Producer
from producer.contract.config.settings import load_settings
from producer.contract.nodes import NodeState
from tests.graphs import counted, raising, sleeping
from tests.polling import wait_until


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    """A fleet of one node, which has the companion; yields the library and the node."""
    monkeypatch.setenv("COMFYFLEET_NODE_PROGRESS_S", "120")  # silence alone would take so long
    options = Options(state_dir=tmp_path, standin_nodes=1, standin_arguments=("--companion",))
    with LocalStack(options) as stack, Producer(load_settings(**stack.settings)) as fleet:
        yield fleet, stack.nodes[0]


def test_delivered_files_are_deleted_and_a_dead_executor_is_told_at_once(fleet, tmp_path):
    fleet, node = fleet
    [known] = fleet.nodes()
    assert known.vram_free == known.vram_total

    done = fleet.wait(fleet.submit(sleeping(0.1)).id, timeout=timedelta(seconds=30))
    assert len(done.artifacts) == 1
    wait_until(lambda: counted(node, "deletes"), description="the picture is deleted on the node")
    assert not list((tmp_path / node.name / "output" / "comfyfleet").iterdir())

    job = fleet.submit(raising("exit"))
    wait_until(
        lambda: fleet.nodes()[0].state is NodeState.UNREACHABLE,
        description="the node is set aside",
        within_s=15,
    )
    assert "only a restart of ComfyUI helps" in fleet.nodes()[0].reason
    wait_until(lambda: fleet.get(job.id).attempts, description="the job is let go", within_s=15)
    assert fleet.get(job.id).attempts[0].error.cause == "stall"
    assert requests.get(f"{node.url}/prompt", timeout=5).status_code == 200
    fleet.cancel(job.id)
