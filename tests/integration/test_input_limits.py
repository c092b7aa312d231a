"""What is no file that a producer may read is refused: on a server, and where nobody could fetch it."""

from __future__ import annotations

import asyncio

import pytest

from producer.aio import AsyncProducer
from producer.batch.rows import Row
from producer.client import Producer
from producer.contract.errors import InvalidInput, InvalidRows
from producer.intake.input_policy import InputPolicy

GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}


@pytest.mark.parametrize("value", ["s3://others/secret.png", "node:others.png", __file__])
def test_what_a_policy_does_not_list_makes_no_job_one_by_one_or_in_rows(led, value):
    inputs = {"1.image": value}
    with Producer(led.settings, input_policy=InputPolicy.bytes_only()) as fleet:
        with pytest.raises(InvalidInput, match="does not read"):
            fleet.submit(GRAPH, inputs=inputs)
        with pytest.raises(InvalidRows, match="does not read") as caught:
            fleet.submit_many(GRAPH, [Row({}, inputs, {})])
        assert caught.value.rows[0].column == "1.image"
    with pytest.raises(InvalidInput, match="does not read"):
        asyncio.run(_submitted(led, inputs))
    assert not led.redis.keys("comfyfleet:job:*")


async def _submitted(led, inputs):
    async with AsyncProducer(led.settings, input_policy=InputPolicy.bytes_only()) as fleet:
        await fleet.submit(GRAPH, inputs=inputs)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("https://h/a.png", "'https://h/a.png' .* https: address, which is not fetched .*s3://"),
        (
            "data:image/png;base64," + "A" * 5_000,
            "data: address, .*decode it and hand in the bytes",
        ),
    ],
)
def test_an_address_that_nobody_fetches_is_refused_with_what_to_do_instead(led, value, message):
    with Producer(led.settings) as fleet, pytest.raises(InvalidInput, match=message) as caught:
        fleet.submit(GRAPH, inputs={"1.image": value})
    assert len(str(caught.value)) < 300
