"""Webhooks: whoever is to be told of an end is told, by a message that the standard's own library verifies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from producer.contract.config.settings import Settings
from producer.contract.config.trusted_hosts import TrustedHosts
from producer.contract.errors import AddressRefused, InvalidJob, WebhookNotFound
from producer.contract.webhooks import DeliveryState, DeliveryTry
from producer.outbound.outbound import Outbound
from producer.store import keys
from producer.store.deliveries import Deliveries
from producer.store.webhook_store import WebhookStore
from producer.webhooks.sender import Sender
from producer.webhooks.service import HookService
from tests.integration.hand_led import HandLed
from tests.integration.receiver import Receiver, receiver
from tests.polling import wait_until


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


def register(led, to, name="shop", **options):
    made = led.fleet.webhooks.create(name, to.url, **options)
    to.secret = made.secret.get_secret_value()
    return made.webhook


def told(service):
    """Do what the sweep and one sender would."""
    service.sweep_once()
    return service.send()


def due_now(led, *, webhook=":shop"):
    """Move all that waits to its next try."""
    for delivery, _ in led.redis.zrange(keys.deliveries(webhook), 0, -1, withscores=True):
        led.redis.zadd(keys.deliveries(webhook), {delivery: 1})
    led.redis.zadd(keys.DELIVERIES, {webhook: 1}, xx=True)
    led.redis.delete(keys.DELIVERING)


def test_the_end_of_a_job_is_told_once_and_verifies(led, to, service):
    register(led, to)
    job = led.failed(led.queued(hook="shop", metadata={"order": "7"}))
    assert told(service) == 1
    assert told(service) == 0
    [message] = to.got
    assert message["type"] == "job.failed"
    assert message["data"] == {
        "id": job.id,
        "status": "failed",
        "metadata": {"order": "7"},
        "cause": "execution_error",
        "artifacts": 0,
        "links": {"self": f"/v1/jobs/{job.id}"},
    }
    [delivery] = led.fleet.webhooks.deliveries("shop")
    assert (delivery.state, delivery.id, delivery.subject) == (
        "delivered",
        to.ids[0],
        f"job:{job.id}",
    )
    assert [one.status for one in delivery.tries] == [204]
    assert led.redis.zcard(keys.OUTBOX) == 0
    assert led.redis.hexists(keys.job(job.id), "told_ms")


def test_only_what_a_webhook_is_for_is_told_and_its_record_by_choice(led, to, service):
    register(led, to, events=["job.cancelled", "batch.finished"], body="full")
    led.failed(led.queued(hook="shop"))
    job = led.cancelled(led.queued(hook="shop"))
    batch = led.fleet.submit_many(
        {"1": {"class_type": "PreviewAny", "inputs": {"source": "x"}}},
        [{}],
        hook="shop",
        name="night",
    )
    led.fleet.cancel_batch(batch.id)
    assert told(service) == 2
    by_type = {message["type"]: message["data"] for message in to.got}
    assert by_type["job.cancelled"]["job"]["id"] == job.id
    assert by_type["batch.finished"]["name"] == "night"
    assert by_type["batch.finished"]["batch"]["counts"]["cancelled"] == 1
    assert led.redis.zcard(keys.OUTBOX) == 0


def test_webhooks_are_their_owners(led, to, service):
    register(led, to, owner="shop")
    with pytest.raises(InvalidJob, match="there is no webhook shop of gallery"):
        led.queued(hook="shop", owner="gallery")
    with pytest.raises(WebhookNotFound):
        led.fleet.webhooks.get("shop", owner="gallery")
    assert led.fleet.webhooks.list(owner="gallery") == []
    led.cancelled(led.queued(hook="shop", owner="shop"))
    assert told(service) == 1
    assert to.got[0]["data"]["owner"] == "shop"


def test_a_hook_that_is_misspelt_is_refused_with_the_nearest(led, to):
    register(led, to)
    with pytest.raises(InvalidJob, match=r"hook: there is no webhook shpo; did you mean shop\?"):
        led.queued(hook="shpo")
    with pytest.raises(InvalidJob, match="hook: there is no webhook x"):
        led.fleet.submit_many({"1": {"class_type": "PreviewAny", "inputs": {}}}, [{}], hook="x")
    assert led.redis.zcard(keys.JOBS) == 0


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


def test_while_a_secret_is_rotated_both_verify(led, to, service):
    register(led, to)
    old, new = to.secret, led.fleet.webhooks.rotate("shop").get_secret_value()
    for secret, signatures in ((old, 2), (new, 2)):
        to.secret = secret
        led.fleet.webhooks.test("shop")
        assert told(service) == 1
        assert len(to.signatures[-1].split()) == signatures
    newest = led.fleet.webhooks.rotate("shop", keep=timedelta(0)).get_secret_value()
    to.secret = newest
    led.fleet.webhooks.test("shop")
    assert told(service) == 1
    assert len(to.signatures[-1].split()) == 1
    assert [message["type"] for message in to.got] == ["webhook.test"] * 3


def test_no_secret_is_shown_where_webhooks_are(led, to, service, caplog):
    made = led.fleet.webhooks.create("shop", to.url)
    secret = made.secret.get_secret_value()
    to.secret = secret
    with caplog.at_level("DEBUG"):
        led.cancelled(led.queued(hook="shop"))
        told(service)
    places = [
        repr(made),
        str(led.redis.hgetall(keys.WEBHOOKS)),
        str(led.fleet.webhooks.list()),
        str(led.fleet.webhooks.deliveries("shop")),
        str([led.redis.hgetall(key) for key in led.redis.scan_iter("comfyfleet:delivery:*")]),
        caplog.text,
    ]
    assert not [place for place in places if secret[8:20] in place]


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


def test_a_private_receiver_is_refused_and_one_that_turned_private_is_not_asked(
    led, to, redis_server
):
    for url in ("http://127.0.0.1:9/hook", "https://10.0.0.7/hook", "http://shop.example/hook"):
        with pytest.raises(AddressRefused):
            led.fleet.webhooks.create("bad", url)
    register(led, to)
    led.cancelled(led.queued(hook="shop"))
    strict = HookService(Settings(redis_url=redis_server.url))
    told(strict)
    strict.close()
    [delivery] = led.fleet.webhooks.deliveries("shop")
    assert to.got == []
    assert "is not asked" in delivery.tries[0].error


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"name": "Shop"}, "name"),
        ({"name": "a:b"}, "name"),
        ({"name": 7}, "name"),
        ({"owner": "a b"}, "owner"),
        ({"events": ["job.done"]}, "events"),
        ({"events": "job.failed"}, "events"),
        ({"body": "fat"}, "body"),
        ({"url": None}, "url"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(led, to, options, field):
    with pytest.raises(InvalidJob) as refused:
        led.fleet.webhooks.create(**{"name": "shop", "url": to.url, **options})
    assert refused.value.field == field
    assert led.fleet.webhooks.list() == []


def test_a_webhook_that_is_deleted_leaves_nothing_to_be_told(led, to, service):
    register(led, to)
    with pytest.raises(InvalidJob, match="there is a webhook shop already"):
        register(led, to)
    led.cancelled(led.queued(hook="shop"))
    service.sweep_once()
    led.fleet.webhooks.delete("shop")
    led.cancelled(led.queued())
    assert told(service) == 0
    assert to.got == []
    assert not led.redis.exists(keys.WEBHOOKS, keys.WEBHOOK_SECRETS, keys.DELIVERIES)
    register(led, to)
    assert led.fleet.webhooks.deliveries("shop") == []


def test_the_log_of_deliveries_is_bounded(led, to):
    register(led, to)
    deliveries, at_once = Deliveries(led.redis), keys.DELIVERIES_KEPT + 5
    for number in range(at_once):
        deliveries.add(
            ":shop", f"test_{number:05}", event="webhook.test", body="{}", is_disabled=True
        )
    assert led.redis.zcard(keys.settled_deliveries(":shop")) == keys.DELIVERIES_KEPT
    assert (
        len(list(led.redis.scan_iter("comfyfleet:delivery:*", count=1000))) == keys.DELIVERIES_KEPT
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


def test_the_command_registers_tests_and_lists(led, to, service):
    def run(*arguments, status=0):
        found = subprocess.run(
            [Path(sys.executable).with_name("comfyfleet"), "webhook", *arguments, "--json"],
            capture_output=True,
            text=True,
            env={
                "COMFYFLEET_REDIS_URL": led.settings.redis_url,
                "COMFYFLEET_TRUSTED_HOSTS": to.host,
                "PATH": "/usr/bin:/bin",
            },
            check=False,
        )
        assert found.returncode == status, found.stderr
        return [json.loads(line) for line in found.stdout.splitlines()]

    [made] = run("create", "shop", to.url, "--event", "job.failed")
    to.secret = made["secret"]
    [listed] = run("list")
    assert (listed["name"], listed["events"]) == ("shop", ["job.failed"])
    assert "secret" not in listed
    led.failed(led.queued(hook="shop"))
    assert told(service) == 1
    [delivery] = run("deliveries", "shop")
    assert delivery["state"] == "delivered"
    [refused] = run("delete", "shpo", status=4)
    assert "did you mean shop?" in refused["error"]["message"]


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
