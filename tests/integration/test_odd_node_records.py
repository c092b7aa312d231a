"""One record that is none must not take all nodes from producers and workers."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from producer.store import keys
from producer.store.node_store import NodeStore

WHOLE = {"state": "ready", "pool": "default", "url": "http://a", "host": "h", "worker": "w"}
FAR = 1 << 45  # the beat of a clock that went wrong counts as living


@pytest.mark.parametrize(
    "record",
    [
        {**WHOLE},
        {**WHOLE, "beat_ms": "soon"},
        {**WHOLE, "beat_ms": FAR, "warm": "{"},
        {**WHOLE, "beat_ms": FAR, "warm": "[[]]"},
        {**WHOLE, "beat_ms": FAR, "vram_total": "\x1b[31mmuch"},
        {**WHOLE, "beat_ms": FAR, "catalog_sha": "x", "catalog": "no catalog"},
        {**WHOLE, "beat_ms": FAR, "catalog_sha": "x"},
        None,
    ],
)
@pytest.mark.writes_keys
def test_a_node_whose_record_is_none_hides_no_other(led, caplog, record):
    nodes = NodeStore(led.redis, lease=timedelta(seconds=15))
    nodes.register("good", worker="w", fields=WHOLE)
    led.redis.zadd(keys.NODES, {"odd": 1})
    if record is None:
        led.redis.set(keys.node("odd"), "no hash")
    else:
        led.redis.hset(keys.node("odd"), mapping=record)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            found = nodes.nodes()
            catalogs = nodes.catalogs("default", among=found)
    assert "good" in [node.name for node in found]
    assert catalogs == {}
    told = [line.getMessage() for line in caplog.records]
    assert len(told) == 1
    assert told[0].startswith("the record of node odd cannot be read: ")
    assert "\x1b" not in told[0]
