"""The fixture of copies."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from producer.contract.config.settings import Settings
from tests.integration.copies.rig import Shop
from tests.integration.hand_led import HandLed

_numbers = itertools.count(1)


@pytest.fixture
def shop(redis_client, redis_server, s3_settings, s3_client) -> Iterator[Shop]:
    bucket = f"shop-{next(_numbers)}"
    s3_client.create_bucket(Bucket=bucket)
    settings = Settings(redis_url=redis_server.url, deliver_buckets=bucket, **s3_settings)
    with HandLed(settings, redis_client, s3=s3_client).fleet as fleet:
        led = HandLed(settings, redis_client, s3=s3_client)
        led.fleet = fleet
        yield Shop(led, bucket)
    s3_client.delete_bucket(Bucket=bucket)
