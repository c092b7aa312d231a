"""What the stack is told, and its nodes: their names, and when their workers serve."""

from __future__ import annotations

from datetime import timedelta

import pytest

from infra.local.nodes import Node, nodes_at, own_node_ready_within, probe_worker
from infra.local.stack import LocalStack, Options
from infra.local.supervisor import NotReady
from producer.contract.errors import InvalidSettings
from producer.contract.nodes import NodeState
from producer.contract.queues import is_name
from producer.store.node_store import NodeStore

GPU = Node("gpu-03", "http://gpu-03:8188")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://gpu-03.lan:8188", "gpu-03.lan-8188"),
        ("https://user:sesame@GPU-03/comfy", "gpu-03"),
        ("http://[::1]:8188/", "1-8188"),
    ],
)
def test_a_node_of_ones_own_is_named_by_its_address(url, name):
    assert [node.name for node in nodes_at([url])] == [name]
    assert is_name(name)


def test_nodes_behind_one_proxy_are_told_apart_by_their_paths():
    nodes = nodes_at(["https://proxy.lan/gpu-1/", "https://proxy.lan/gpu-2"])
    assert [node.name for node in nodes] == ["proxy.lan-gpu-1", "proxy.lan-gpu-2"]


def test_one_comfyui_named_twice_is_refused(tmp_path, standin):
    twice = Options(state_dir=tmp_path / "state", comfyui_urls=(standin.url, standin.url + "/"))
    with pytest.raises(InvalidSettings, match="--comfyui: one address is named twice"):
        LocalStack(twice).__enter__()
    assert not (tmp_path / "state").exists()


def test_a_bucket_name_that_no_store_takes_is_refused_at_once(tmp_path):
    with pytest.raises(InvalidSettings, match="--s3-bucket: 'My Bucket' is no bucket's name"):
        LocalStack(Options(state_dir=tmp_path / "state", s3_bucket="My Bucket")).__enter__()


@pytest.fixture
def settings(redis_server) -> dict[str, str]:
    return {"redis_url": redis_server.url}


@pytest.fixture
def node_store(redis_client) -> NodeStore:
    return NodeStore(redis_client, lease=timedelta(seconds=15))


@pytest.mark.usefixtures("node_store")
def test_a_worker_is_not_ready_before_it_registers(settings):
    with pytest.raises(NotReady, match="has not registered"):
        probe_worker(GPU, settings)


def test_a_worker_is_ready_when_its_node_takes_jobs(settings, node_store):
    fields = {"pool": "default", "url": GPU.url, "state": NodeState.JOINING}
    node_store.register(GPU.name, worker="boot-1", fields=fields)
    with pytest.raises(NotReady, match="the node is joining"):
        probe_worker(GPU, settings)
    node_store.say(GPU.name, state=NodeState.READY)
    probe_worker(GPU, settings)


def test_a_joining_node_says_what_is_waited_for(settings, node_store):
    fields = {"pool": "default", "url": GPU.url, "state": NodeState.JOINING}
    node_store.register(GPU.name, worker="boot-1", fields=fields)
    with pytest.raises(NotReady, match="the node is joining: its worker asks ComfyUI what it has"):
        probe_worker(GPU, settings)


def test_a_comfyui_of_ones_own_may_take_its_time_to_say_what_it_has(monkeypatch):
    monkeypatch.setenv("COMFYFLEET_NODE_INFO_S", "300")
    assert own_node_ready_within() > timedelta(seconds=300)
