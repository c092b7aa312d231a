"""What a worker does with a node that has the companion."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from infra.local.stack import LocalStack, Options
from infra.standin.options import DEFAULT_MODELS
from producer.client import Producer
from producer.contract.config.settings import load_settings
from producer.contract.jobs import JobStatus, Phase
from producer.contract.nodes import NodeState
from tests.graphs import counted, fresh_nonce, raising, rendering, sleeping
from tests.polling import wait_until

PATIENCE = timedelta(seconds=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("companion")


@pytest.fixture(scope="module")
def stack(folder) -> Iterator[LocalStack]:
    """A fleet of one node, which has the companion."""
    options = Options(state_dir=folder, standin_nodes=1, standin_arguments=("--companion",))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("COMFYFLEET_NODE_PROGRESS_S", "120")  # silence alone would take so long
        with LocalStack(options) as made:
            yield made


@pytest.fixture
def fleet(stack) -> Iterator[tuple[Producer, object]]:
    """The library and the node, which is well."""
    with Producer(load_settings(**stack.settings)) as fleet:
        wait_until(lambda: fleet.nodes()[0].state is NodeState.READY, description="it is ready")
        yield fleet, stack.nodes[0]
        requests.delete(f"{stack.nodes[0].url}/standin/faults", timeout=5)


def hurt(node, **rule) -> None:
    requests.post(f"{node.url}/standin/faults", json=[rule], timeout=5).raise_for_status()


def waiting(node) -> int:
    answer = requests.get(f"{node.url}/comfyfleet/v1/status", timeout=5)
    return answer.json()["encoding"]["waiting"]


def test_delivered_files_are_deleted(fleet, folder):
    fleet, node = fleet
    [known] = fleet.nodes()
    assert known.vram_free == known.vram_total
    assert (known.companion, known.companion_gained_s) == (True, 0)

    done = fleet.wait(fleet.submit(sleeping(0.1)).id, timeout=PATIENCE)
    assert len(done.artifacts) == 1
    wait_until(lambda: counted(node, "deletes"), description="the picture is deleted on the node")
    assert not list((folder / node.name / "output" / "comfyfleet").iterdir())


def test_the_models_of_what_waits_behind_a_render_are_announced(fleet):
    fleet, node = fleet
    first, then = DEFAULT_MODELS["checkpoints"]
    fleet.wait(fleet.submit(rendering(first, seed=fresh_nonce())).id, timeout=PATIENCE)
    jobs = [
        fleet.submit(rendering(model, seed=fresh_nonce())) for model in (first, first, then, then)
    ]
    for job in jobs:
        fleet.wait(job.id, timeout=PATIENCE)

    told = requests.get(f"{node.url}/comfyfleet/v1/status", timeout=5).json()["preloading"]
    assert 1 <= told["announced"] <= 2  # once, and perhaps the first model after it
    assert told["unknown"] == 0


def test_a_picture_that_the_full_disk_does_not_take_is_the_nodes_fault(fleet):
    fleet, node = fleet
    hurt(node, on="encode SaveImage", do="disk_full")

    done = fleet.wait(fleet.submit(sleeping(0.1)).id, timeout=PATIENCE)

    assert (done.status, done.attempt, done.charged_attempts) == (JobStatus.SUCCEEDED, 2, 0)
    [first] = done.attempts
    assert first.error.cause == "disk_full"
    assert "No space left on device" in first.error.message


def test_a_node_killed_while_pictures_wait_has_lost_the_prompt_uncharged(fleet, stack):
    fleet, node = fleet
    hurt(node, on="encode SaveImage", do="hang")
    job = fleet.submit(sleeping(0.1))
    wait_until(lambda: fleet.get(job.id).phase is Phase.FETCHING, description="it has rendered")
    assert waiting(node) == 1

    os.kill(stack.pid(node.name), signal.SIGKILL)

    done = fleet.wait(job.id, timeout=PATIENCE)
    assert (done.status, done.attempt, done.charged_attempts) == (JobStatus.SUCCEEDED, 2, 0)
    assert done.attempts[0].error.cause == "prompt_lost"


def test_a_cancel_while_a_picture_waits_is_a_cancel(fleet):
    fleet, node = fleet
    hurt(node, on="encode SaveImage", do="hang", seconds=30)
    job = fleet.submit(sleeping(0.1))
    wait_until(lambda: fleet.get(job.id).phase is Phase.FETCHING, description="it has rendered")

    fleet.cancel(job.id)

    wait_until(lambda: fleet.get(job.id).done, description="it has ended", within_s=20)
    assert fleet.get(job.id).status is JobStatus.CANCELLED


def test_a_dead_executor_is_told_at_once(fleet):
    fleet, node = fleet
    job = fleet.submit(raising("exit"))
    wait_until(
        lambda: fleet.nodes()[0].state is NodeState.UNREACHABLE,
        description="the node is set aside",
        within_s=40,
    )
    assert "only a restart of ComfyUI helps" in fleet.nodes()[0].reason
    wait_until(lambda: fleet.get(job.id).attempts, description="the job is let go", within_s=40)
    assert fleet.get(job.id).attempts[0].error.cause == "stall"
    assert requests.get(f"{node.url}/prompt", timeout=5).status_code == 200
    fleet.cancel(job.id)
