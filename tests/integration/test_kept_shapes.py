"""The shape in the record: of jobs handed in whole, with params over a graph, as rows, and made again."""

from __future__ import annotations

import pytest

from producer.batch.row_shapes import RowShaper
from producer.contract.batches import RowShapes
from producer.contract.classes.shapes import shape_of
from producer.contract.ids import row_id
from producer.contract.params.addresses import Addresses
from tests.graphs import sleeping
from tests.integration.batch_feeding import GRAPH, feed

SHAPE = shape_of(GRAPH)


@pytest.fixture
def fleet(led):
    return led.fleet


def whole(width=32):
    graph = sleeping()
    graph["1"]["inputs"]["width"] = width
    return graph


def shapes_of(fleet, batch, rows):
    return [fleet.get(row_id(batch.id, row)).shape for row in range(1, rows + 1)]


def test_a_whole_graph_and_params_over_another_come_to_one_shape(fleet):
    jobs = [fleet.submit(whole()), fleet.submit(GRAPH, params={"2.nonce": 12, "1.color": 3})]
    assert {fleet.get(job.id).shape for job in jobs} == {SHAPE}
    wide = [fleet.submit(whole(64)), fleet.submit(GRAPH, params={"1.width": 64})]
    assert {fleet.get(job.id).shape for job in wide} == {shape_of(whole(64))} != {SHAPE}


def test_a_retry_keeps_the_shape(led, fleet):
    assert fleet.retry(led.failed().id).shape == SHAPE


def test_rows_have_the_shape_that_they_would_have_alone_before_and_after_they_are_fed(fleet):
    values = [
        {"2.nonce": 1},
        {"1.width": 64},
        {"1.color": 5},
        {"1.width": 64, "2.nonce": 3},
        {"1.width": 32},
    ]
    batch = fleet.submit_many(GRAPH, values, params={"2.steps": 3})
    alone = [fleet.submit(GRAPH, params={"2.steps": 3, **value}).shape for value in values]
    assert len(set(alone)) == 2
    assert shapes_of(fleet, batch, 5) == alone
    feed(fleet)
    assert shapes_of(fleet, batch, 5) == alone


def test_a_batch_that_is_continued_keeps_the_shapes_of_its_first_rows(fleet):
    writer = fleet.open_batch(GRAPH, idempotency_key="k")
    for width in range(200):
        writer.add({"1.width": 16 + width % 2})
    writer._send()
    with fleet.open_batch(GRAPH, idempotency_key="k") as writer:
        writer.add({"1.width": 100})
    batch = fleet.batch(writer.id)
    assert shapes_of(fleet, batch, 2) == [shape_of(whole(16)), shape_of(whole(17))]
    assert fleet.get(row_id(batch.id, 201)).shape == shape_of(whole(100))


def test_a_torn_list_of_shapes_loses_no_row(led, fleet):
    batch = fleet.submit_many(GRAPH, [{"2.nonce": 1}])
    for torn in ("{", "[]", '{"by": 3}', '{"by": [["x"]]}', '{"found": []}'):
        led.redis.hset(f"comfyfleet:batch:{batch.id}", "shapes", torn)
        assert shapes_of(fleet, batch, 1) == [None]
    feed(fleet)
    assert shapes_of(fleet, batch, 1) == [None]


def test_a_batch_keeps_a_hundred_shapes_and_rows_beyond_have_none():
    shaper = RowShaper(
        GRAPH, Addresses(GRAPH), lambda params: f"of {params['1.width']}", RowShapes()
    )
    for width in range(1_000):
        shaper.add({"1.width": width, "2.nonce": width})
    kept = RowShapes.from_json(shaper.shapes.to_json())
    assert [kept.of({"1.width": width, "2.nonce": 0}) for width in (0, 99, 100)] == [
        "of 0",
        "of 99",
        "",
    ]
    assert len(kept.to_json()) < 5_000
