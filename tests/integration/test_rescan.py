"""A model that has just been put on a node is found when somebody asks for it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

import pytest

from producer.contract.classes.catalog import Catalog, GraphNodeClass
from producer.contract.errors import InvalidJob, NoNodeCanRun
from producer.contract.jobs import JobStatus
from producer.store.calls import listen
from producer.store.node_store import NodeStore
from tests.graphs import rendering
from tests.integration.hand_led import LEASE
from tests.polling import wait_until

GRAPH = rendering("new.safetensors", seed=1)


def register(led, *models):
    classes = {found["class_type"]: GraphNodeClass() for found in GRAPH.values()}
    classes["SaveImage"] = GraphNodeClass(is_output=True)
    classes["CheckpointLoaderSimple"] = GraphNodeClass(models={"ckpt_name": models})
    catalog = Catalog(classes)
    NodeStore(led.redis, lease=LEASE).register(
        "gpu-01",
        worker="gpu-01:w",
        fields={
            "pool": "default",
            "url": "http://127.0.0.1:1",
            "state": "ready",
            "host": "here",
            "catalog": catalog.to_text(),
            "catalog_sha": catalog.sha,
        },
    )


@pytest.fixture
def rescans(led):
    """Calls for a rescan, each answered as a worker would: the model is there by now."""
    heard, listens = [], Event()

    def serve():
        for call in listen(led.redis, timeout=timedelta(seconds=5)):
            listens.set()  # the first value is None: it has subscribed
            if call and call.what == "rescan":
                heard.append(call.about)
                register(led, "old.safetensors", "new.safetensors")
                return

    with ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve)
        assert listens.wait(20)
        yield heard
        if not serving.done():
            NodeStore(led.redis, lease=LEASE).ask_rescan("gpu-01")


def test_a_model_that_nobody_has_yet_is_looked_for_before_it_is_refused(led, rescans):
    register(led, "old.safetensors")
    assert led.fleet.submit(GRAPH).status is JobStatus.QUEUED
    assert rescans == ["*"]


def test_whoever_mistypes_names_in_a_row_waits_once(led):
    register(led, "old.safetensors")
    with pytest.raises(NoNodeCanRun):
        led.fleet.submit(GRAPH)
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(NoNodeCanRun, match=r"new\.safetensors"):
            led.fleet.submit(GRAPH)
    assert time.monotonic() - began < 1


def test_a_person_has_a_node_look_anew(led, rescans):
    register(led, "old.safetensors")
    led.fleet.rescan("gpu-01")
    with pytest.raises(InvalidJob, match="there is no node 'gpu-1'; did you mean gpu-01"):
        led.fleet.rescan("gpu-1")
    wait_until(lambda: rescans, description="it is asked")
    assert rescans == ["gpu-01"]
