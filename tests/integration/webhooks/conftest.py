"""Fixtures of webhooks: a receiver, jobs whose ends it is told, and what tells it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from producer.contract.config.settings import Settings
from producer.webhooks.service import HookService
from tests.integration.hand_led import HandLed
from tests.integration.receiver import Receiver, receiver


@pytest.fixture
def to() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def led(redis_client, redis_server, to) -> Iterator[HandLed]:
    """Jobs on a Redis that holds nothing else; the receiver is a host that the operator trusts."""
    led = HandLed(Settings(redis_url=redis_server.url, trusted_hosts=to.host), redis_client)
    with led.fleet:
        yield led


@pytest.fixture
def service(led) -> Iterator[HookService]:
    service = HookService(led.settings)
    yield service
    service.close()
