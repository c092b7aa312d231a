"""The HTTP API shows and gives nothing of another owner's, whatever the route; and what the owner's own are for."""

from __future__ import annotations

import re

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from producer.store.actions import Actions
from tests.integration.api_server import GRAPH, problem
from tests.integration.carried_actions import carry_all
from tests.media_samples import png

WITH_INPUT = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
HOOK = {"name": "orders", "url": "https://example.com/hooks"}


def operations(url):
    """Return each method and path of the description."""
    paths = requests.get(f"{url}/v1/openapi.json", timeout=5).json()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def test_every_route_with_an_id_answers_anothers_as_an_unknown_one(api, api_url, led):
    shop, press = (
        api("shop", scopes="submit,read,operate"),
        api("press", scopes="submit,read,operate"),
    )
    job = shop.submit()
    batch = shop.post("/v1/batches", {"graph": GRAPH}).json()
    assert shop.post("/v1/webhooks", HOOK).status_code == 201
    assert shop("PUT", "/v1/templates/orders", json={"graph": GRAPH}).status_code == 201
    action = shop.post("/v1/actions", {"action": "hold", "filter": "tier:idle"}).json()
    theirs = {
        "action_id": action["id"],
        "job_id": job["id"],
        "batch_id": batch["id"],
        "name": "orders",
        "delivery_id": "x",
        "number": "0",
    }
    nobodys = {**theirs, "action_id": "01a202b8-2e5f-7533-81db-221426b72003", "job_id": "01a202b8-2e5f-7533-81db-221426b72003", "name": "nobody",
               "batch_id": "01a202b8-2e5f-7533-81db-221400000000"}  # fmt: skip
    asked = 0
    for method, path in operations(api_url):
        if "{" not in path or path.startswith(("/v1/nodes", "/v1/owners", "/v1/dead-letters")):
            continue
        if method == "PUT":  # it makes one of the key's own, which says nothing of another's
            continue
        answers = []
        for ids in (theirs, nobodys):
            headers = {"Content-Type": "application/jsonl"} if path.endswith("/rows") else {}
            body = {"tier": "idle"} if path.endswith("/move") else None
            answer = press(method, path.format(**ids), headers=headers, json=body)
            told = problem(answer, 404, "not-found")
            answers.append(re.sub(r"[0-9a-f-]{36}|orders|nobody", "", str(told)))
            asked += 1
        assert answers[0] == answers[1], (method, path)
    assert asked > 40
    assert led.fleet.get(job["id"]).status == "queued"
    assert led.fleet.batch(batch["id"]).state == "open"
    assert [one.owner for one in led.fleet.templates.list()] == ["shop"]


def test_every_list_is_ones_own(api):
    shop, press = api("shop"), api("press")
    shop.submit()
    shop.post("/v1/batches", {"graph": GRAPH})
    shop.post("/v1/webhooks", HOOK)
    shop("PUT", "/v1/templates/portrait", json={"graph": GRAPH})
    shop.post("/v1/actions", {"action": "hold", "filter": "tier:idle"})
    for name in ("jobs", "batches", "webhooks", "templates", "actions"):
        assert len(shop.get(f"/v1/{name}").json()[name]) == 1
        assert press.get(f"/v1/{name}").json() == {name: []}


def test_an_upload_and_an_artifact_are_their_owners_alone(api):
    shop, press = api("shop"), api("press")
    made = shop("POST", "/v1/uploads?name=a.png", data=png(8, 8))
    assert made.status_code == 201, made.text
    upload = made.json()["id"]
    assert (
        shop.submit(graph=WITH_INPUT, inputs={"1.image": {"upload": upload}})["status"] == "queued"
    )
    for form in (
        {"upload": upload},
        {"upload": "0" * 64},
        {"artifact": {"job": shop.submit()["id"]}},
    ):
        answer = press.post("/v1/jobs", {"graph": WITH_INPUT, "inputs": {"1.image": form}})
        problem(answer, 422, "invalid-input")
        answer = press.post("/v1/batches", {"graph": WITH_INPUT, "inputs": {"1.image": form}})
        if answer.status_code == 201:
            path = f"/v1/batches/{answer.json()['id']}/rows"
            answer = press(
                "POST", path, data=b"{}\n", headers={"Content-Type": "application/jsonl"}
            )
        assert answer.status_code == 422, answer.text
    hook = press.post("/v1/jobs", {"graph": GRAPH, "hook": "orders"})
    assert hook.status_code == 422


def acted(client, led, action, words="all", **body):
    """Ask for an action, have it carried out, and return it."""
    asked = client.post("/v1/actions", {"action": action, "filter": words, **body})
    assert asked.status_code == 202, asked.text
    assert asked.json()["state"] == "waiting"
    assert asked.json()["links"]["self"] == asked.headers["location"]
    carry_all(led)
    return client.get(asked.headers["location"]).json()


def test_an_action_means_ones_own_jobs_and_is_counted_first(api, led):
    shop, press = api("shop"), api("press")
    for _ in range(3):
        shop.submit()
    theirs = press.submit()
    counting = {"action": "cancel", "filter": "status:queued", "dry_run": True}
    assert shop.post("/v1/actions", counting).json() == {"matched": 3, "done": 0}
    assert {entry.what for entry in Actions(led.redis).newest(5)} == {"key.create"}
    told = acted(press, led, "cancel", "owner:shop")
    assert (told["counted"], told["matched"], told["done"]) == (0, 0, 0)
    told = acted(shop, led, "cancel", "status:queued", reason="a typo")
    figures = ("state", "counted", "matched", "done", "refused", "reason")
    assert [told[name] for name in figures] == ["done", 3, 3, 3, 0, "a typo"]
    logged = Actions(led.redis).newest(5)[0]
    assert (logged.what, logged.count, logged.reason) == ("cancel", 3, "a typo")
    assert logged.actor == told["actor"]
    assert logged.actor.startswith("key shop-")
    assert led.fleet.get(theirs["id"]).status == "queued"
    assert acted(shop, led, "retry", "status:cancelled")["done"] == 3
    assert acted(shop, led, "retry", "status:cancelled")["matched"] == 0
    told = problem(
        shop.post("/v1/actions", {"action": "burn", "filter": "all"}), 422, "invalid-request"
    )
    assert told["errors"][0]["allowed"] == ["cancel", "hold", "release", "retry"]


def test_an_action_takes_no_cursor_and_ten_may_wait(api):
    shop = api()
    for _ in range(2):
        shop.submit()
    wanted = {"action": "hold", "filter": "status:queued"}
    cursor = shop.get("/v1/jobs?filter=status:queued&limit=1").json()["cursor"]
    told = problem(shop.post("/v1/actions", {**wanted, "cursor": cursor}), 422, "invalid-request")
    assert told["errors"][0]["pointer"] == "#/cursor"
    once = {**wanted, "idempotency_key": "once"}
    ids = {shop.post("/v1/actions", once).json()["id"] for _ in range(3)}
    headers = {"Idempotency-Key": "once"}
    ids |= {shop.post("/v1/actions", wanted, headers=headers).json()["id"]}
    assert len(ids) == 1
    changed = shop.post("/v1/actions", {**once, "action": "cancel"})
    problem(changed, 422, "idempotency-key-reuse")
    for _ in range(9):
        assert shop.post("/v1/actions", wanted).status_code == 202
    told = problem(shop.post("/v1/actions", wanted), 429, "backlog-full")
    assert told["error"]["kind"] == "TooManyActions"
    assert len(shop.get("/v1/actions?limit=7").json()["actions"]) == 7


@pytest.mark.parametrize("action", ["hold", "release"])
def test_jobs_are_held_and_released_by_a_filter(api, led, action):
    shop = api()
    job = shop.submit()
    assert acted(shop, led, "hold")["done"] == 1
    if action == "release":
        assert acted(shop, led, "release")["done"] == 1
    wanted = {"hold": "held", "release": "queued"}[action]
    assert shop.get(f"/v1/jobs/{job['id']}").json()["status"] == wanted


def test_the_fleet_is_shown_to_who_operates_it(api, led):
    shop, ops = api(), api("ops", scopes="operate")
    led.queued()
    for path in ("/v1/nodes", "/v1/pools"):
        problem(shop.get(path), 403, "forbidden")
    problem(ops.get("/v1/jobs"), 403, "forbidden")
    assert ops.get("/v1/nodes").json() == {"nodes": []}
    [pool] = ops.get("/v1/pools").json()["pools"]
    assert (pool["name"], sum(line["jobs"] for line in pool["queue"])) == ("default", 1)
    problem(ops.post("/v1/nodes/gpu-01/rescan"), 404, "not-found")


def test_metrics_are_shown_to_who_operates_it_and_read_from_the_records(api, led):
    led.failed(cause="out_of_memory")
    led.queued()
    problem(api().get("/metrics"), 403, "forbidden")
    answer = api("ops", scopes="operate").get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    told = [
        (sample.name.removeprefix("comfyfleet_"), sample.labels, sample.value)
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    ]
    assert ("queue_jobs", {"pool": "default", "tier": "default", "status": "queued"}, 1) in told
    assert (
        "jobs_ended_total",
        {"pool": "default", "status": "failed", "cause": "out_of_memory"},
        1,
    ) in told


def test_a_webhook_is_registered_tested_and_forgotten(api):
    shop = api()
    made = shop.post("/v1/webhooks", HOOK).json()
    assert made["secret"].startswith("whsec_")
    assert "secret" not in shop.get("/v1/webhooks/orders").json()
    assert shop.submit(hook="orders")["hook"] == "orders"
    sent = shop.post("/v1/webhooks/orders/test")
    assert sent.status_code == 202
    listed = shop.get("/v1/webhooks/orders/deliveries").json()["deliveries"]
    assert [found["id"] for found in listed] == [sent.json()["id"]]
    assert (
        shop.post(f"/v1/webhooks/orders/deliveries/{sent.json()['id']}/redeliver").status_code
        == 202
    )
    for url in (
        "http://169.254.169.254/",
        "https://127.0.0.1/",
        "ftp://example.com",
        "https://localhost/",
    ):
        problem(shop.post("/v1/webhooks", {"name": "bad", "url": url}), 422, "invalid-input")
    assert shop("DELETE", "/v1/webhooks/orders").status_code == 204
    problem(shop.get("/v1/webhooks/orders"), 404, "not-found")


def test_events_of_nodes_are_for_who_operates_the_fleet(api):
    shop, ops = api(), api("ops", scopes="submit,operate")
    wanted = {**HOOK, "events": ["job.failed", "node.quarantined"]}
    told = problem(shop.post("/v1/webhooks", wanted), 403, "forbidden")
    assert told["error"] == {"kind": "ScopeMissing", "scope": "operate"}
    assert ops.post("/v1/webhooks", wanted).status_code == 201
