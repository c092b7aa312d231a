"""Webhooks take turns, and owners share the senders: who has much to be told keeps nobody else waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from producer.contract.errors import InvalidJob
from producer.contract.webhooks import DeliveryState, DeliveryTry
from producer.store import keys
from producer.store.deliveries import MOST_BEFORE_TEST, Deliveries
from tests.polling import wait_until

WITHIN = timedelta(seconds=30)
OF_OWNER = 8


@pytest.fixture
def deliveries(redis_client):
    found = Deliveries(redis_client)

    def add(webhook, count, *, first=0):
        for number in range(first, first + count):
            found.add(webhook, f"msg-{number}", event="job.succeeded", body="{}")

    found.fill = add
    return found


def settled(deliveries, taken):
    attempt = DeliveryTry(at=datetime.now(UTC), error="it hangs")
    deliveries.settle(taken, DeliveryState.WAITING, attempt, wait=timedelta(minutes=5))


def later(redis_client):
    """Wait until the clock by which turns are ordered has gone on."""
    at = redis_client.time()[1] // 1000
    wait_until(lambda: redis_client.time()[1] // 1000 != at, description="a ms")


def test_webhooks_that_hang_leave_senders_to_other_owners(deliveries, redis_client):
    for hook in range(17):
        deliveries.fill(f"press:h{hook}", 5)
    later(redis_client)
    deliveries.fill("shop:orders", 1)
    taken = [deliveries.take(within=WITHIN) for _ in range(OF_OWNER + 1)]
    assert [one.webhook.partition(":")[0] for one in taken] == ["press"] * OF_OWNER + ["shop"]
    assert deliveries.take(within=WITHIN) is None
    for one in taken[:-1]:  # they fail: half as many are sent to these at once
        settled(deliveries, one)
    for hook in range(17):
        redis_client.zadd(keys.DELIVERIES, {f"press:h{hook}": 0})
        redis_client.hset(keys.WEBHOOKS_FAILING, f"press:h{hook}", 1)
    again = [deliveries.take(within=WITHIN) for _ in range(OF_OWNER // 2 + 1)]
    assert [one and one.webhook.partition(":")[0] for one in again] == [
        *["press"] * (OF_OWNER // 2),
        None,
    ]


def test_a_webhook_goes_behind_those_that_wait_and_more_for_it_brings_it_no_sooner(
    deliveries, redis_client
):
    deliveries.fill("press:h", 5)
    later(redis_client)
    deliveries.fill("shop:orders", 1)
    later(redis_client)
    first = deliveries.take(within=WITHIN)
    assert first.webhook == "press:h"
    settled(deliveries, first)
    deliveries.fill("press:h", 5, first=5)
    deliveries.again("press:h", "msg-1")
    assert deliveries.take(within=WITHIN).webhook == "shop:orders"
    assert deliveries.take(within=WITHIN).webhook == "press:h"


def test_a_test_is_refused_where_a_hundred_deliveries_wait(led):
    led.fleet.webhooks.create("orders", "https://shop.example/", owner="shop")
    for _ in range(MOST_BEFORE_TEST):
        led.fleet.webhooks.test("orders", owner="shop")
    with pytest.raises(InvalidJob, match="100 deliveries waiting"):
        led.fleet.webhooks.test("orders", owner="shop")
    assert led.redis.zcard(keys.deliveries("shop:orders")) == MOST_BEFORE_TEST
