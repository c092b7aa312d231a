"""Webhooks: whoever is to be told of an end is told, by a message that the standard's own library verifies."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from producer.contract.config.settings import Settings
from producer.contract.errors import AddressRefused, InvalidJob, WebhookNotFound
from producer.store import keys
from producer.webhooks.service import HookService
from tests.integration.webhooks.rig import register, told


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
