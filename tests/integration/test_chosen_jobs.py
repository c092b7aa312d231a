"""What changes many jobs at once says which, and tells of them to nobody else."""

from __future__ import annotations

import pytest

from producer.contract.errors import InvalidQuery
from producer.contract.filters.query import Filter
from tests.integration.api_server import GRAPH, problem
from tests.integration.carried_actions import carry_all
from tests.integration.test_http_owners import acted


def test_an_empty_filter_changes_nothing(led):
    job = led.fleet.submit(GRAPH, owner="shop")
    for empty in ("", " ", Filter()):
        for call in (
            lambda words: led.fleet.begin_action("cancel", words, owner="shop"),
            lambda words: led.fleet.act("cancel", words),
            lambda words: led.fleet.act("cancel", words, dry_run=True),
            lambda words: led.fleet.move(words, tier="idle"),
        ):
            with pytest.raises(InvalidQuery, match="is empty, and would mean all jobs"):
                call(empty)
    assert led.fleet.get(job.id) == job
    assert led.fleet.move(Filter(is_all=True), tier="idle") == 1
    assert led.fleet.act("cancel", "all").done == 1


def test_an_action_on_all_jobs_says_so_and_means_ones_own(api, led):
    shop, press = api("shop"), api("press")
    mine, theirs = shop.submit()["id"], press.submit()["id"]
    for dry_run in (True, False):
        for empty in ("", " "):
            wanted = {"action": "cancel", "filter": empty, "dry_run": dry_run}
            told = problem(shop.post("/v1/actions", wanted), 422, "invalid-request")
            assert told["errors"][0]["pointer"] == "#/filter"
            assert "or the word all" in told["detail"]
    told = acted(shop, led, "cancel", "all")
    assert (told["filter"], told["done"]) == ("owner:shop", 1)
    assert [led.fleet.get(job).status for job in (mine, theirs)] == ["cancelled", "queued"]


def test_what_an_action_on_everybody_s_jobs_tells_is_for_who_sees_them(api, led):
    admin, shop, press = api("shop", scopes="admin"), api("shop"), api("press")
    press.submit()
    begun = admin.post(
        "/v1/actions", {"action": "hold", "filter": "all", "idempotency_key": "k"}
    ).json()
    carry_all(led)
    path = begun["links"]["self"]
    assert admin.get(path).json()["done"] == 1
    problem(shop.get(path), 404, "not-found")
    assert begun["id"] not in {one["id"] for one in shop.get("/v1/actions").json()["actions"]}
    assert begun["id"] in {one["id"] for one in admin.get("/v1/actions").json()["actions"]}
    again = {"action": "hold", "filter": "all", "idempotency_key": "k"}
    assert shop.post("/v1/actions", again).json()["id"] != begun["id"]
