"""What a canary says of its node."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import requests

from producer.contract.classes.catalog import Catalog
from tests.integration.nodes import open_node, sleeping_graph
from tests.polling import wait_until
from worker.comfyui.client import ComfyUI
from worker.errors import NodeFault, PromptStalled
from worker.node.canary import Canary


@pytest.fixture
def busy(tmp_path):
    """A node and how to have it run a prompt that never ends, with this as its `extra_data`."""
    with open_node("0.33.0", tmp_path) as url, ComfyUI(url, node="gpu-01") as comfyui:

        def run(**extra_data):
            hang = {"on": "run ComfyFleetSleep", "do": "hang", "deaf": True}
            requests.post(f"{url}/standin/faults", json=hang, timeout=5).raise_for_status()
            ids = {"prompt_id": str(uuid.uuid4()), "client_id": "nobody"}
            comfyui.queue_prompt(sleeping_graph(), extra_data=extra_data, **ids)
            wait_until(comfyui.is_busy, description="it runs")

        yield comfyui, run


def flown_twice(comfyui, watched=()):
    canary = Canary(comfyui, node="gpu-01", timeout_s=0.2, stopped=Event(), watched=lambda: watched)
    catalog = Catalog.from_object_info(comfyui.object_info())
    assert canary.run(catalog) is False
    return canary.run(catalog)


def test_a_prompt_of_ours_that_nobody_waits_for_and_never_ends_condemns_its_node(busy):
    comfyui, run = busy
    run(job_id="a-job", job_attempt=1)
    with pytest.raises(PromptStalled, match="neither ends nor can be stopped"):
        flown_twice(comfyui)


def test_a_prompt_that_the_worker_waits_for_may_take_its_time(busy):
    comfyui, run = busy
    run(job_id="a-job", job_attempt=1)
    assert flown_twice(comfyui, watched={("a-job", 1)}) is False


def test_a_persons_own_prompt_may_take_its_time(busy):
    comfyui, run = busy
    run()
    assert flown_twice(comfyui) is False


def test_it_computes_on_the_card_where_it_can(tmp_path):
    with open_node("0.33.0", tmp_path) as url, ComfyUI(url, node="gpu-01") as comfyui:
        broken = {"on": "run ImageBlur", "do": "raise", "body": "CUDA error: unknown error"}
        requests.post(f"{url}/standin/faults", json=broken, timeout=5).raise_for_status()
        canary = Canary(comfyui, node="gpu-01", timeout_s=5, stopped=Event())
        catalog = Catalog.from_object_info(comfyui.object_info())
        with pytest.raises(NodeFault, match="CUDA error"):
            canary.run(catalog)
        assert canary.run(catalog)


@pytest.fixture
def zombie(tmp_path):
    """A node that answers and executes nothing."""
    with open_node("0.33.0", tmp_path) as url, ComfyUI(url, node="gpu-01") as comfyui:
        hang = {"on": "prompt", "do": "hang", "count": 0}
        requests.post(f"{url}/standin/faults", json=hang, timeout=5).raise_for_status()
        yield comfyui


def test_it_condemns_a_node_that_executes_nothing(zombie):
    canary = Canary(zombie, node="gpu-01", timeout_s=0.3, stopped=Event())
    with pytest.raises(PromptStalled):
        canary.run(Catalog.from_object_info(zombie.object_info()))


def test_it_says_nothing_against_a_node_whose_worker_leaves_meanwhile(zombie):
    leaves = Event()
    canary = Canary(zombie, node="gpu-01", timeout_s=30, stopped=leaves)
    with ThreadPoolExecutor() as pool:
        executed = pool.submit(canary.run, Catalog.from_object_info(zombie.object_info()))
        wait_until(zombie.is_busy, description="the node has taken it")
        leaves.set()
        assert executed.result(timeout=5) is False
