"""The log of actions: who did what to many jobs, batches, nodes and what owners keep, through whichever door."""

from __future__ import annotations

import json
import socket

import pytest
import requests

from producer.acting import acting
from producer.contract.errors import InvalidQuery
from producer.store import keys, limits
from producer.store.node_store import NodeStore
from tests.graphs import sleeping
from tests.integration.api_server import GRAPH, problem
from tests.integration.test_http_figures import batch_of
from tests.integration.test_http_owners import HOOK
from tests.integration.test_wished_nodes import LEASE, register

#: What hands in, asks or tries, and what is done with one job, of which its record tells.
NOT_LOGGED = {
    *("jobs_submit", "jobs_cancel", "jobs_hold", "jobs_release", "jobs_retry", "uploads_upload"),
    *("batches_begin", "batches_add_rows", "batches_seal", "templates_check", "templates_check_graph"),
    *("webhooks_test", "webhooks_redeliver"),
}  # fmt: skip
#: The verbs of nodes and pools, of which tests/integration/test_wished_pools.py tells.
VERBS = ("drain", "pause", "resume", "quarantine", "clear", "probe", "restart")
NODES = {
    *(f"fleet_{verb}" for verb in VERBS),
    *(f"fleet_{verb}_several" for verb in VERBS),
    *(f"fleet_{verb}_pools" for verb in VERBS[:3]),
}
BODIES = {
    "jobs_move": {"tier": "idle"},
    "batches_move": {"tier": "idle"},
    "moves_move": {"filter": "tier:default", "tier": "rush"},
    "actions_act": {"action": "hold", "filter": "tier:idle"},
    "fleet_limit_owner": {"max_waiting": 5_000},
    "templates_put": {"graph": GRAPH},
    "webhooks_create": HOOK,
}
#: In this order, as some make what others take.
LOGGED = {
    "jobs_move": ("job.move", "tier idle"),
    "moves_move": ("move", "tier rush"),
    "batches_move": ("batch.move", "tier idle"),
    "batches_hold": ("batch.hold", ""),
    "batches_release": ("batch.release", ""),
    "batches_cancel": ("batch.cancel", "cancelled"),
    "actions_act": ("hold", ""),
    "actions_cancel": ("action.cancel", ""),
    "templates_put": ("template.put", "1-"),
    "templates_delete": ("template.delete", ""),
    "webhooks_create": ("webhook.create", "job.succeeded"),
    "webhooks_enable": ("webhook.enable", ""),
    "webhooks_rotate": ("webhook.rotate", ""),
    "webhooks_delete": ("webhook.delete", ""),
    "fleet_limit_owner": ("owner.limit", "max_waiting 5000"),
    "fleet_rescan": ("node.rescan", ""),
    "dead_letters_redrive": ("dead.redrive", ""),
    "dead_letters_drop": ("dead.drop", ""),
}


def changes(url):
    """Return method and path of each operation that may change something, by its id."""
    paths = requests.get(f"{url}/v1/openapi.json", timeout=5).json()["paths"]
    return {
        one["operationId"]: (method.upper(), path)
        for path, methods in paths.items()
        for method, one in methods.items()
        if method != "get"
    }


def test_every_route_that_changes_more_than_one_job_says_who_asked(api, api_url, led):
    boss = api("shop", scopes="admin")
    register(NodeStore(led.redis, lease=LEASE), "gpu-01", pool="default")
    dead = [led.failed().id for _ in range(2)]
    job, batch = boss.submit(), batch_of(boss)
    boss.submit()
    asked = changes(api_url)
    assert asked.keys() == LOGGED.keys() | NOT_LOGGED | NODES
    ids = {"job_id": job["id"], "batch_id": batch["id"], "name": "orders"}
    for operation, (what, detail) in LOGGED.items():
        method, path = asked[operation]
        if "/nodes" in path:
            ids["name"] = "gpu-01"
        if "dead-letters" in path:
            ids["job_id"] = dead.pop()
        answer = boss(method, path.format(**ids), json=BODIES.get(operation))
        assert answer.ok, (operation, answer.text)
        if operation == "actions_act":
            ids["action_id"] = answer.json()["id"]
        entry = led.fleet.action_log(1)[0]
        assert (entry.what, entry.origin) == (what, "127.0.0.1"), operation
        assert entry.actor.startswith("key shop-")
        assert entry.detail.startswith(detail), (operation, entry)
        assert entry.count >= 1
        assert entry.selection or operation == "moves_move"


def test_what_changes_nothing_is_not_logged(api, led):
    shop = api("shop")
    job, batch = shop.submit(tier="idle"), batch_of(shop)
    shop("PUT", "/v1/templates/orders", json={"graph": GRAPH})
    before = led.fleet.action_log(100)
    for path, body in (
        (f"/v1/jobs/{job['id']}/move", {"tier": "idle"}),
        (f"/v1/jobs/{job['id']}/move", {"tier": "batch", "dry_run": True}),
        (f"/v1/batches/{batch['id']}/move", {"tier": "idle", "dry_run": True}),
        ("/v1/moves", {"filter": "tier:rush", "tier": "idle"}),
    ):
        assert shop.post(path, body).ok
    assert shop("PUT", "/v1/templates/orders", json={"graph": GRAPH}).status_code == 200
    assert shop("DELETE", "/v1/templates/orders", headers={"If-Match": '"9-0"'}).status_code == 412
    assert led.fleet.action_log(100) == before


def test_the_log_is_read_in_pages_by_who_administers_the_fleet_alone(api, led):
    boss, ops = api("boss", scopes="admin"), api("ops", scopes="submit,read,operate")
    for number in range(5):
        with acting("kim", "a program"):
            led.fleet.limit_owner(f"shop-{number}", max_waiting=number)
    problem(ops.get("/v1/action-log"), 403, "forbidden")
    first = boss.get("/v1/action-log?limit=2").json()["entries"]
    assert [entry["owner"] for entry in first] == ["shop-4", "shop-3"]
    assert (first[0]["actor"], first[0]["origin"]) == ("kim", "a program")
    rest = boss.get(f"/v1/action-log?limit=2&before={first[-1]['id']}").json()["entries"]
    assert [entry["owner"] for entry in rest] == ["shop-2", "shop-1"]
    [flaw] = problem(boss.get("/v1/action-log?before=x"), 422, "invalid-request")["errors"]
    assert flaw["parameter"] == "before"
    with pytest.raises(InvalidQuery, match="limit is 0; expected 1 to 1,000"):
        led.fleet.action_log(0)


def test_a_key_that_is_not_the_operator_s_pushes_nobody_s_entries_out(api, led):
    shop, ops = api("shop"), api("ops", scopes="submit,operate")
    batch = batch_of(shop)["id"]
    for number in range(32):
        for verb in ("hold", "release"):
            assert shop.post(f"/v1/batches/{batch}/{verb}").ok, number
    entries = [one for one in led.fleet.action_log(100) if one.actor.startswith("key shop-")]
    assert len(entries) == limits.MOST_LOGGED
    mine = batch_of(ops)["id"]
    for _ in range(31):
        for verb in ("hold", "release"):
            assert ops.post(f"/v1/batches/{mine}/{verb}").ok
    assert sum(one.owner == "ops" for one in led.fleet.action_log(1_000)) > limits.MOST_LOGGED
    [(actor, noted)] = led.redis.hgetall(keys.ACTIONS_OFTEN).items()
    since, _, left = map(int, noted.split())
    led.redis.hset(keys.ACTIONS_OFTEN, actor, f"{since - 60_000} 60 {left}")  # a minute later
    assert shop.post(f"/v1/batches/{batch}/hold").ok
    assert shop.post(f"/v1/batches/{batch}/release").ok
    told = led.fleet.action_log(2)
    assert [one.more for one in told] == [0, left]
    assert left >= 4
    assert f", and {left} times more before" in led.command("log", "--limit", "2").stdout


def test_at_a_shell_who_ran_a_command_is_logged_and_shown(led):
    led.queued(owner="shop")
    assert led.command("job", "move", "owner:shop", "--tier", "idle", "--yes").returncode == 0
    entry = json.loads(led.command("log", "--json", "--limit", "1").stdout)
    assert (entry["what"], entry["selection"]) == ("move", "owner:shop")
    assert entry["origin"] == f"cli@{socket.gethostname()}"
    told = led.command("log").stdout
    for word in (entry["actor"], entry["origin"], "move", "owner:shop (1)", "tier idle"):
        assert word in told


def test_a_full_redis_keeps_no_change_from_being_told(led):
    batch = led.fleet.submit_many(sleeping(), [{"1.color": 1}])
    memory = led.redis.info("memory")["used_memory"]
    led.redis.config_set("maxmemory", memory // 2)
    try:
        led.fleet.cancel_batch(batch.id)
    finally:
        led.redis.config_set("maxmemory", 0)
    assert led.fleet.action_log(1)[0].what == "batch.cancel"


def test_a_backend_says_who_acts_for_a_block_and_its_threads(led):
    with acting("kim", origin="shop-admin"):
        led.fleet.limit_owner("shop", max_waiting=1)
    led.fleet.limit_owner("shop", max_waiting=2)
    last, first = led.fleet.action_log(2)
    assert (first.actor, first.origin) == ("kim", "shop-admin")
    assert (last.actor, last.origin) == ("", "")
