"""What a canary says of its node."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import requests

from producer.contract.catalog import Catalog
from producer.contract.errors import PromptStalled
from tests.integration.nodes import open_node
from tests.waiting import wait_until
from worker.canary import Canary
from worker.comfyui.client import ComfyUI


@pytest.fixture
def zombie(tmp_path):
    """A node that answers and executes nothing."""
    with open_node("0.33.0", tmp_path) as url, ComfyUI(url, node="gpu-01") as comfyui:
        hang = {"on": "prompt", "do": "hang", "count": 0}
        requests.post(f"{url}/standin/faults", json=hang, timeout=5).raise_for_status()
        yield comfyui


def test_it_condemns_a_node_that_executes_nothing(zombie):
    canary = Canary(
        zombie, node="gpu-01", patience_s=0.3, stopped=Event(), is_watching=lambda _: False
    )
    with pytest.raises(PromptStalled):
        canary.fly(Catalog.from_object_info(zombie.object_info()))


def test_it_says_nothing_against_a_node_whose_worker_leaves_meanwhile(zombie):
    leaves = Event()
    canary = Canary(
        zombie, node="gpu-01", patience_s=30, stopped=leaves, is_watching=lambda _: False
    )
    with ThreadPoolExecutor() as pool:
        executed = pool.submit(canary.fly, Catalog.from_object_info(zombie.object_info()))
        wait_until(zombie.is_busy, description="the node has taken it")
        leaves.set()
        assert executed.result(timeout=5) is False
