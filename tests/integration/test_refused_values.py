"""Values that every node would refuse are refused when they are handed in."""

from __future__ import annotations

import pytest

from producer.batch.rows import Row
from producer.contract.classes.catalog import Catalog
from producer.contract.classes.input_rules import InputRules
from producer.contract.errors import InvalidGraph, InvalidParam, InvalidRows
from producer.contract.jobs import JobStatus
from producer.store.node_store import NodeStore
from tests.integration.hand_led import LEASE

EMPTY = {
    "width": ["INT", {"min": 1, "max": 512}],
    "color": ["INT", {"min": 0}],
    "mode": [["plain", "checked"], {}],
    "tiled": ["BOOLEAN", {}],
}


def info(inputs):
    known = {"python_module": "nodes", "output_node": False}
    return {
        "EmptyImage": {**known, "input": {"required": inputs}, "output": ["IMAGE"]},
        "SaveImage": {
            **known,
            "input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {}]}},
            "output": [],
            "output_node": True,
        },
    }


def graph(**inputs):
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "color": 1, "mode": "plain", "tiled": False, **inputs},
        },
        "2": {
            "class_type": "SaveImage",
            "inputs": {"images": ["1", 0], "filename_prefix": "x"},
        },
    }


def register(led, name="gpu-01", inputs=EMPTY, *, told=True):
    catalog = Catalog.from_object_info(info(inputs))
    rules = InputRules.from_object_info(info(inputs), version="0.33.0")
    fields = {
        "pool": "default",
        "url": "http://127.0.0.1:1",
        "state": "ready",
        "host": "here",
        "catalog": catalog.to_text(),
        "catalog_sha": catalog.sha,
    }
    if told:
        fields |= {"rules": rules.to_text(), "rules_sha": rules.sha, "rules_for": catalog.sha}
    NodeStore(led.redis, lease=LEASE).register(name, worker=f"{name}:w", fields=fields)


def test_a_graph_with_a_wrong_value_is_refused_in_one_sentence(led):
    register(led)
    with pytest.raises(InvalidGraph) as caught:
        led.fleet.submit(graph(mode="chekced"))
    assert str(caught.value) == (
        'graph node 1 (EmptyImage), input mode: "chekced" is none of its choices: plain, checked '
        '(did you mean "checked"?)'
    )
    assert (caught.value.field, caught.value.graph_node) == ("graph", "1")
    assert type(caught.value) is InvalidGraph


def test_a_param_is_named_as_it_was_given_and_replaces_what_is_wrong(led):
    register(led)
    with pytest.raises(InvalidParam, match="513 is too large; it takes 1 to 512") as caught:
        led.fleet.submit(graph(), params={"EmptyImage.width": 513})
    assert caught.value.field == "params.EmptyImage.width"
    job = led.fleet.submit(graph(width=9999), params={"1.width": "512", "1.tiled": "FALSE"})
    assert led.fleet.get(job.id).params == {"1.width": 512, "1.tiled": False}


def test_rows_are_named_with_their_columns(led):
    register(led)
    rows = [{"1.width": 64}, {"1.width": 0}, {"1.color": 5}, Row(params={"1.mode": "odd"})]
    with pytest.raises(InvalidRows) as caught:
        led.fleet.submit_many(graph(), rows)
    assert [(bad.row, bad.column) for bad in caught.value.rows] == [
        (2, "1.width"),
        (4, "1.mode"),
    ]
    # What rows replace is not judged; the row that leaves it as it is, is.
    with pytest.raises(InvalidRows) as caught:
        led.fleet.submit_many(graph(width=9999), [{"1.width": 8}, {"1.color": 5}])
    assert [bad.row for bad in caught.value.rows] == [2]
    assert led.fleet.submit_many(graph(width=9999), [{"1.width": 8}]).rows == 1


def test_one_node_that_takes_it_is_enough(led):
    register(led)
    register(led, "gpu-02", {**EMPTY, "width": ["INT", {"min": 1, "max": 1024}]})
    assert led.fleet.submit(graph(width=1000)).status is JobStatus.QUEUED
    assert led.fleet.submit_many(graph(), [{"1.width": 1000}]).rows == 1
    with pytest.raises(InvalidGraph, match="1025 is too large"):
        led.fleet.submit(graph(width=1025))


def test_nothing_is_refused_for_a_node_that_has_not_said_what_it_takes(led):
    register(led)
    register(led, "gpu-02", told=False)
    assert led.fleet.submit(graph(width=9999)).status is JobStatus.QUEUED
    assert led.fleet.submit_many(graph(), [{"1.mode": "odd"}]).rows == 1


def test_what_an_older_worker_left_standing_does_not_count(led):
    register(led)
    register(led, inputs={**EMPTY, "ckpt_name": [["a.safetensors"]]}, told=False)
    assert led.fleet.submit(graph(width=9999)).status is JobStatus.QUEUED


def test_rules_are_read_once_for_each_content(led):
    register(led)
    register(led, "gpu-02")
    led.redis.config_resetstat()
    for _ in range(3):
        led.fleet.submit(graph())
    reads = led.redis.info("commandstats").get("cmdstat_hget", {}).get("calls", 0)
    assert reads <= 2  # one catalog, one set of rules
