"""Deliveries to webhooks: tried again, in turns, by another sender where one died, and kept within bounds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from producer.contract.config.trusted_hosts import TrustedHosts
from producer.contract.errors import InvalidJob
from producer.contract.webhooks import DeliveryState, DeliveryTry
from producer.outbound.outbound import Outbound
from producer.store import keys, limits
from producer.store.deliveries import Deliveries
from producer.store.webhook_store import WebhookStore
from producer.webhooks.sender import Sender
from producer.webhooks.service import HookService
from tests.integration.webhooks.rig import due_now, register, told
from tests.polling import wait_until


def test_what_was_not_taken_is_tried_again_under_the_same_id(led, to, service):
    register(led, to)
    to.answers.extend([500, web.Response(status=503, headers={"Retry-After": "120"}), 302])
    led.cancelled(led.queued(hook="shop"))
    for _ in range(4):
        assert told(service) == 1
        assert told(service) == 0
        [delivery] = led.fleet.webhooks.deliveries("shop")
        due_now(led)
    assert [one.status for one in delivery.tries] == [500, 503, 302, 204]
    assert len(set(to.ids)) == 1


def test_a_receiver_may_say_when(led, to, service):
    register(led, to)
    to.answers.append(web.Response(status=503, headers={"Retry-After": "120"}, text="\x1b[2Jno"))
    led.cancelled(led.queued(hook="shop"))
    told(service)
    [delivery] = led.fleet.webhooks.deliveries("shop")
    [one] = delivery.tries
    assert (delivery.due_at - one.at).total_seconds() == pytest.approx(120, abs=3)
    assert one.said == "\\x1b[2Jno"


def test_after_the_last_try_it_is_given_up_and_can_be_sent_again(led, to, service):
    register(led, to)
    to.answers.extend([500] * 10)
    led.cancelled(led.queued(hook="shop"))
    for _ in range(10):
        assert told(service) == 1
        due_now(led)
    [delivery] = led.fleet.webhooks.deliveries("shop")
    assert (delivery.state, len(delivery.tries), delivery.due_at) == ("failed", 10, None)
    assert led.fleet.webhooks.redeliver("shop", delivery.id).state is DeliveryState.WAITING
    assert told(service) == 1
    [again] = led.fleet.webhooks.deliveries("shop")
    assert (again.id, again.state, len(again.tries)) == (delivery.id, "delivered", 11)


def test_a_receiver_that_is_gone_is_told_no_more_until_it_is_enabled(led, to, service):
    register(led, to)
    to.answers.append(410)
    led.cancelled(led.queued(hook="shop"))
    told(service)
    webhook = led.fleet.webhooks.get("shop")
    assert (webhook.disabled_at is not None, webhook.disabled_why) == (
        True,
        "its receiver answered 410 Gone",
    )
    led.cancelled(led.queued(hook="shop"))
    assert told(service) == 0
    states = [delivery.state for delivery in led.fleet.webhooks.deliveries("shop")]
    assert states == ["dropped", "dropped"]
    with pytest.raises(InvalidJob, match="is disabled"):
        led.fleet.webhooks.test("shop")
    led.fleet.webhooks.enable("shop")
    led.fleet.webhooks.redeliver("shop", led.fleet.webhooks.deliveries("shop")[0].id)
    assert told(service) == 1
    assert len(to.got) == 2


def test_a_receiver_that_hangs_holds_up_no_other(led, to):
    register(led, to)
    led.fleet.webhooks.create("slow", f"http://{to.host}/nobody")
    deliveries = Deliveries(led.redis)
    for number in range(20):
        deliveries.add(":slow", f"test_{number}", event="webhook.test", body="{}")
    taken = [deliveries.take(within=timedelta(seconds=30)) for _ in range(5)]
    assert [one and one.webhook for one in taken] == [":slow"] * 4 + [None]
    led.fleet.webhooks.test("shop")
    assert deliveries.take(within=timedelta(seconds=30)).webhook == ":shop"
    failed = DeliveryTry(at=datetime.now(UTC), error="no answer")
    for one in taken[:4]:
        deliveries.settle(one, DeliveryState.WAITING, failed, wait=timedelta(hours=1))
    again = [deliveries.take(within=timedelta(seconds=30)) for _ in range(2)]
    assert [one and one.webhook for one in again] == [":slow", None]  # one at a time while it fails


def test_a_delivery_that_its_sender_took_to_its_grave_is_sent_by_another(led, to):
    register(led, to)
    led.fleet.webhooks.test("shop")
    deliveries = Deliveries(led.redis)
    dead = deliveries.take(within=timedelta(0))
    outbound = Outbound(TrustedHosts.parse(to.host))
    assert Sender(deliveries, WebhookStore(led.redis), outbound).try_one()
    assert to.ids == [dead.id]
    late = deliveries.settle(dead, DeliveryState.FAILED, DeliveryTry(at=datetime.now(UTC)))
    assert not late
    assert led.fleet.webhooks.deliveries("shop")[0].state is DeliveryState.DELIVERED


def test_the_log_of_deliveries_is_bounded(led, to):
    register(led, to)
    deliveries, at_once = Deliveries(led.redis), limits.DELIVERIES_KEPT + 5
    for number in range(at_once):
        deliveries.add(
            ":shop", f"test_{number:05}", event="webhook.test", body="{}", is_disabled=True
        )
    assert led.redis.zcard(keys.settled_deliveries(":shop")) == limits.DELIVERIES_KEPT
    assert (
        len(list(led.redis.scan_iter("comfyfleet:delivery:*", count=1000)))
        == limits.DELIVERIES_KEPT
    )


@contextmanager
def hooks_process(led, to, **environment) -> Iterator[subprocess.Popen[bytes]]:
    variables = {
        "COMFYFLEET_REDIS_URL": led.settings.redis_url,
        "COMFYFLEET_TRUSTED_HOSTS": to.host,
        "PATH": "/usr/bin:/bin",
        **environment,
    }
    with subprocess.Popen([sys.executable, "-m", "producer.webhooks"], env=variables) as process:
        try:
            yield process
        finally:
            process.kill()


def test_whatever_dies_the_end_is_told(led, to):
    register(led, to)
    job = led.cancelled(led.queued(hook="shop"))
    for crashpoint, got in (("webhook.recorded", 0), ("webhook.sent", 1)):
        with hooks_process(led, to, COMFYFLEET_CRASHPOINT=crashpoint) as process:
            assert process.wait(30) == 137
        assert len(to.got) == got
        due_now(led)
    with hooks_process(led, to) as process:
        wait_until(
            lambda: led.fleet.webhooks.deliveries("shop")[0].state == "delivered",
            description="it is told, and that is noted",
            within_s=30,
        )
        process.terminate()
        assert process.wait(30) == 0
    assert (len(to.ids), len(set(to.ids))) == (2, 1)
    assert to.got[-1]["data"]["id"] == job.id


def test_a_sender_that_no_message_wakes_any_more_is_ended(led, to):
    register(led, to)
    led.fleet.webhooks.test("shop")
    ends = []
    service = HookService(led.settings, on_stuck=lambda: ends.append(1), stuck_after_s=0)
    for _ in range(3):  # it sends a message, sees it lie there, and again
        assert ends == []
        service.sweep_once()
    assert ends == [1]
    service.send()  # one of another process, or of this one after all
    service.sweep_once()
    assert ends == [1]
    service.close()
