"""The HTTP API moves what waits, and shows the fleet's figures: to each owner its own, to who operates it all."""

from __future__ import annotations

import pytest

from producer.contract.queues import Tier
from tests.integration.api_server import GRAPH, problem

NOBODY = "01a202b8-2e5f-7533-81db-221426b72003"


def batch_of(client, rows=3, **fields):
    """Hand in a batch, and return it sealed."""
    batch = client.post("/v1/batches", {"graph": GRAPH, **fields}).json()["id"]
    lines = {"Content-Type": "application/jsonl"}
    client("POST", f"/v1/batches/{batch}/rows", data=b'{"3.color": 1}\n' * rows, headers=lines)
    return client.post(f"/v1/batches/{batch}/seal").json()


def test_a_job_is_counted_first_and_then_waits_in_another_tier(api, led):
    shop = api()
    job = shop.submit()
    move = job["links"]["move"]
    told = shop.post(move, {"tier": "idle", "dry_run": True}).json()
    assert (told["moved"], told["tier"]) == (1, "default")
    told = shop.post(move, {"tier": "idle"}).json()
    assert (told["moved"], told["tier"], told["status"]) == (1, "idle", "queued")
    assert shop.post(move, {"tier": "idle"}).json()["moved"] == 0
    shop.post(job["links"]["hold"])
    assert shop.post(move, {"tier": "batch"}).json()["tier"] == "batch"
    led.fleet.cancel(job["id"])
    problem(shop.post(move, {"tier": "rush"}), 409, "conflict")


def test_jobs_are_moved_by_a_filter_each_owner_s_alone(api, led):
    shop, press = api("shop"), api("press")
    mine, theirs = [shop.submit(tier="batch") for _ in range(3)], press.submit(tier="batch")
    wanted = {"filter": "tier:batch", "tier": "idle"}
    assert shop.post("/v1/moves", {**wanted, "dry_run": True}).json() == {"moved": 3}
    assert shop.post("/v1/moves", wanted).json() == {"moved": 3}
    assert {led.fleet.get(job["id"]).tier for job in mine} == {"idle"}
    assert led.fleet.get(theirs["id"]).tier == "batch"
    for body, place in (
        ({"filter": "tier:x", "tier": "idle"}, {"pointer": "#/filter"}),
        ({"filter": "batch:x", "tier": "idle"}, {"pointer": "#/filter"}),
        ({"filter": "all"}, {"pointer": "#/tier"}),
        ({"filter": " ", "tier": "idle"}, {"pointer": "#/filter"}),
        ({"tier": "idle"}, {"pointer": "#/filter"}),
    ):
        [flaw] = problem(shop.post("/v1/moves", body), 422, "invalid-request")["errors"]
        assert place.items() <= flaw.items()
    low = api("shop", top_tier=Tier.BATCH)
    problem(low.post("/v1/moves", {"filter": "all", "tier": "rush"}), 422, "invalid-request")


def test_a_key_moves_nothing_beyond_its_top_tier(api, led):
    shop = api(top_tier=Tier.BATCH)
    job, batch = shop.submit(tier="batch"), batch_of(shop)
    for path in (job["links"]["move"], batch["links"]["move"]):
        told = problem(shop.post(path, {"tier": "rush"}), 422, "invalid-request")
        assert told["errors"][0]["pointer"] == "#/tier"
        assert told["errors"][0]["allowed"] == ["batch", "idle"]
        assert shop.post(path, {"tier": "idle"}).json()["tier"] == "idle"
    assert led.fleet.get(job["id"]).tier == "idle"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/tier"),
        ({"pool": "No Pool"}, "#/pool"),
        ({"tier": "now"}, "#/tier"),
        ({"tier": "idle", "to": "x"}, "#/to"),
        ({"tier": "idle", "dry_run": 0}, "#/dry_run"),
    ],
)
def test_a_move_that_says_nothing_sensible_names_the_place(api, body, pointer):
    shop = api()
    for path in (shop.submit()["links"]["move"], batch_of(shop)["links"]["move"]):
        told = problem(shop.post(path, body), 422, "invalid-request")
        assert told["errors"][0]["pointer"] == pointer


def test_a_batch_moves_with_all_that_wait_of_it_and_no_row_alone(api, led):
    shop = api()
    batch = batch_of(shop, rows=150)
    move = batch["links"]["move"]
    assert shop.post(move, {"tier": "idle", "dry_run": True}).json()["moved"] == 150
    told = shop.post(move, {"tier": "idle"}).json()
    assert (told["moved"], led.fleet.batch(batch["id"]).tier) == (150, "idle")
    row = shop.get(batch["links"]["rows"]).json()["jobs"][0]
    assert (
        "row of a batch"
        in problem(shop.post(row["links"]["move"], {"tier": "rush"}), 409, "conflict")["detail"]
    )
    still_open = shop.post("/v1/batches", {"graph": GRAPH}).json()
    problem(shop.post(still_open["links"]["move"], {"tier": "rush"}), 409, "conflict")


def test_a_batch_is_found_by_its_name_among_its_owner_s(api):
    shop, press = api("shop"), api("press")
    mine, theirs = batch_of(shop, name="night & day"), batch_of(press, name="night & day")
    for client, batch in ((shop, mine), (press, theirs)):
        for name in ("night & day", batch["id"]):
            [found] = client.get("/v1/batches", params={"name": name}).json()["batches"]
            assert found["id"] == batch["id"]
    problem(shop.get("/v1/batches", params={"name": theirs["id"]}), 404, "not-found")
    problem(shop.get("/v1/batches?name=nobody"), 404, "not-found")
    batch_of(shop, name="night & day")
    problem(shop.get("/v1/batches", params={"name": "night & day"}), 422, "invalid-request")


def test_an_owner_s_figures_are_its_own_and_all_for_who_operates(api):
    shop, press, ops = api("shop"), api("press"), api("ops", scopes="operate")
    batch_of(shop)
    shop.submit()
    press.submit()
    assert shop.get("/v1/owners").json() == {"owners": [shop.get("/v1/owners/shop").json()]}
    assert shop.get("/v1/owners/shop").json()["waiting"] == 4
    problem(shop.get("/v1/owners/press"), 404, "not-found")
    problem(shop.get("/v1/owners/nobody"), 404, "not-found")
    everybody = ops.get("/v1/owners").json()["owners"]
    assert {owner["owner"]: owner["waiting"] for owner in everybody} == {"shop": 4, "press": 1}
    assert ops.get("/v1/owners/press").json()["waiting"] == 1
    problem(ops.get("/v1/owners/a:b"), 404, "not-found")
    problem(api("shop", scopes="submit").get("/v1/owners"), 403, "forbidden")


def test_a_limit_is_set_by_an_administrator_alone(api, led):
    boss = api("boss", scopes="admin")
    for client in (api("shop"), api("ops", scopes="operate")):
        problem(client("PUT", "/v1/owners/shop", json={"max_waiting": 1}), 403, "forbidden")
    assert boss("PUT", "/v1/owners/shop/eu", json={"max_waiting": 0}).json()["max_waiting"] == 0
    assert led.fleet.owner("shop/eu").max_waiting == 0
    assert "max_waiting" not in boss("PUT", "/v1/owners/shop/eu", json={"max_waiting": None}).json()
    for bad in ({}, {"max_waiting": -1}, {"max_waiting": "7"}, {"max_waiting": True}):
        told = problem(boss("PUT", "/v1/owners/shop", json=bad), 422, "invalid-request")
        assert told["errors"][0]["pointer"] == "#/max_waiting"


def test_what_waits_and_what_was_done_are_for_who_operates(api, led):
    shop, ops = api(), api("ops", scopes="operate")
    shop.submit(tier="rush")
    led.failed(cause="out_of_memory")
    for path in ("/v1/queue", "/v1/totals", "/v1/nodes/gpu-01/times"):
        problem(shop.get(path), 403, "forbidden")
    [line] = ops.get("/v1/queue").json()["lines"]
    assert (line["pool"], line["tier"], line["jobs"], line["nodes"]) == ("default", "rush", 1, 0)
    assert (line["reason"], "oldest_at" in line) == ("no_node", True)
    pool = ops.get("/v1/totals").json()["pools"]["default"]
    assert pool["ended"] == {"failed": {"out_of_memory": 1}}
    problem(ops.get("/v1/nodes/gpu-01/times"), 404, "not-found")


def test_several_nodes_are_wanted_together_or_none_is(api):
    ops = api("ops", scopes="operate")
    told = problem(ops.post("/v1/nodes/drain", {"node": ["gpu-01"]}), 422, "invalid-request")
    assert told["errors"][0]["pointer"] == "#/node"
    problem(ops.post("/v1/nodes/pause", {"node": []}), 422, "invalid-request")
    problem(api().post("/v1/nodes/resume", {"node": ["gpu-01"]}), 403, "forbidden")


def test_a_webhook_s_secret_is_rotated_and_a_delivery_read(api):
    shop, press = api("shop"), api("press")
    made = shop.post("/v1/webhooks", {"name": "orders", "url": "https://example.com/a"}).json()
    new = shop.post("/v1/webhooks/orders/rotate", {"keep_s": 60}).json()
    assert new["secret"] not in ("", made["secret"])
    assert shop.post("/v1/webhooks/orders/rotate").json()["secret"] != new["secret"]
    problem(shop.post("/v1/webhooks/orders/rotate", {"keep_s": -1}), 422, "invalid-request")
    sent = shop.post("/v1/webhooks/orders/test").json()
    assert shop.get(f"/v1/webhooks/orders/deliveries/{sent['id']}").json()["id"] == sent["id"]
    problem(press.get(f"/v1/webhooks/orders/deliveries/{sent['id']}"), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/templates/check", "POST"),
        ("/v1/jobs", "GET, HEAD, POST"),
        (f"/v1/jobs/{NOBODY}", "GET, HEAD"),
        ("/v1/owners/shop/eu", "GET, HEAD, PUT"),
    ],
)
def test_a_path_tells_the_methods_that_are_its_own(api, path, methods):
    answer = api()("OPTIONS", path)
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == methods
