"""The HTTP API: jobs, keys and problems, asked of a real process."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import timedelta

import requests

from producer.contract.ids import new_job_id
from tests.integration.api_server import GRAPH, problem
from tests.polling import wait_until


def test_a_job_is_handed_in_read_and_listed(api, led):
    shop = api()
    answer = shop.post(
        "/v1/jobs", {"graph": GRAPH, "params": {"3.color": 255}, "metadata": {"order": "7"}}
    )
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/jobs/{job['id']}")
    assert (job["status"], job["done"], job["owner"]) == ("queued", False, "shop")
    assert job["links"]["cancel"] == f"/v1/jobs/{job['id']}/cancel"
    assert led.fleet.get(job["id"]).params == {"3.color": 255}
    assert shop.get(job["links"]["self"]).json() == job
    page = shop.get("/v1/jobs", params={"filter": "status:queued", "limit": 1}).json()
    assert [found["id"] for found in page["jobs"]] == [job["id"]]


def test_pages_go_on_after_their_cursor(api):
    shop = api()
    made = [shop.submit()["id"] for _ in range(3)]
    page = shop.get("/v1/jobs?limit=2").json()
    rest = shop.get("/v1/jobs", params={"limit": 2, "cursor": page["cursor"]}).json()
    assert [job["id"] for job in page["jobs"] + rest["jobs"]] == made[::-1]
    assert "cursor" not in rest


def test_without_a_valid_key_nothing_is_told(api, api_url):
    shop = api()
    job = shop.submit()
    brief = api(expires_in=timedelta(milliseconds=1))
    for key in ("", "cfk_wrong", brief.key):
        shop.key = key
        for path in (f"/v1/jobs/{job['id']}", "/v1/jobs", "/v1/nothing", "/", "/metrics"):
            answer = shop.get(path)
            problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert requests.get(f"{api_url}/v1/jobs", timeout=5).status_code == 401
    for path in ("/livez", "/readyz", "/v1/openapi.json"):
        assert requests.get(f"{api_url}{path}", timeout=5).status_code == 200


def test_a_key_may_do_what_its_scopes_say(api):
    reader, writer = api(scopes="read"), api(scopes="submit")
    job = writer.submit()
    assert reader.get(f"/v1/jobs/{job['id']}").status_code == 200
    problem(reader.post("/v1/jobs", {"graph": GRAPH}), 403, "forbidden")
    problem(reader.post(f"/v1/jobs/{job['id']}/cancel"), 403, "forbidden")
    problem(writer.get(f"/v1/jobs/{job['id']}"), 403, "forbidden")


def test_a_rate_and_a_top_tier_hold(api):
    slow = api(rate=2, top_tier="default")
    told = problem(slow.post("/v1/jobs", {"graph": GRAPH, "tier": "rush"}), 422, "invalid-request")
    assert told["errors"][0]["allowed"] == ["default", "batch", "idle"]
    answers = [slow.get("/v1/jobs") for _ in range(4)]
    told = problem(answers[-1], 429, "too-many-requests")
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_a_key_has_a_limit_of_waiting_jobs(api):
    shop = api(max_waiting=2)
    headers = {"Idempotency-Key": "first"}
    assert shop.post("/v1/jobs", {"graph": GRAPH}, headers=headers).status_code == 201
    shop.submit()
    told = problem(shop.post("/v1/jobs", {"graph": GRAPH}), 429, "backlog-full")
    assert "its limit is 2" in told["detail"]
    assert api("shop").post("/v1/jobs", {"graph": GRAPH}).status_code == 201
    batch = shop.post("/v1/batches", {"graph": GRAPH}).json()["id"]
    shop(
        "POST",
        f"/v1/batches/{batch}/rows",
        data=b"{}\n",
        headers={"Content-Type": "application/jsonl"},
    )
    problem(shop.post(f"/v1/batches/{batch}/seal"), 429, "backlog-full")


def test_another_owners_job_is_answered_as_an_unknown_one(api):
    job = api("shop").submit()
    press = api("press")
    unknown = new_job_id()
    for method, path in (
        ("GET", ""),
        ("POST", "/cancel"),
        ("POST", "/hold"),
        ("POST", "/release"),
        ("POST", "/retry"),
        ("GET", "/artifacts/0"),
    ):
        theirs = problem(press(method, f"/v1/jobs/{job['id']}{path}"), 404, "not-found")
        nobodys = problem(press(method, f"/v1/jobs/{unknown}{path}"), 404, "not-found")
        assert json.loads(json.dumps(theirs).replace(job["id"], unknown)) == nobodys
    assert press.get("/v1/jobs").json() == {"jobs": []}
    assert press.get("/v1/jobs?filter=owner:shop").json() == {"jobs": []}
    assert [found["id"] for found in api("ops", scopes="admin").get("/v1/jobs").json()["jobs"]] == [
        job["id"]
    ]


def test_another_owners_batch_is_no_batch_of_a_filter(api, led):
    batch = led.fleet.submit_many(GRAPH, [{}], owner="shop", name="night")
    page = api("shop").get(f"/v1/jobs?filter=batch:{batch.id}").json()
    assert len(page["jobs"]) == 1
    for name in (batch.id, "night"):
        told = problem(api("press").get(f"/v1/jobs?filter=batch:{name}"), 404, "not-found")
        assert "no batch" in told["detail"]


def test_a_job_is_held_released_cancelled_and_made_again(api):
    shop = api()
    job = shop.submit()
    at = f"/v1/jobs/{job['id']}"
    assert shop.post(f"{at}/hold").json()["status"] == "held"
    assert shop.post(f"{at}/release").json()["status"] == "queued"
    problem(shop.post(f"{at}/retry"), 409, "conflict")
    cancelled = shop.post(f"{at}/cancel").json()
    assert (cancelled["status"], cancelled["outcome"]) == ("cancelled", "cancelled")
    assert shop.post(f"{at}/cancel").json()["outcome"] == "ended"
    problem(shop.post(f"{at}/hold"), 409, "conflict")
    again = shop.post(f"{at}/retry", {"tier": "batch"})
    assert (again.status_code, again.json()["retry_of"], again.json()["tier"]) == (
        201,
        job["id"],
        "batch",
    )
    told = shop.post(f"{at}/retry")
    assert (told.status_code, told.headers["idempotent-replayed"]) == (200, "true")
    assert told.headers["location"] == again.headers["location"]
    assert told.json() == again.json()
    assert "idempotent-replayed" not in again.headers


def test_a_redis_that_hangs_is_a_503_within_two_seconds_and_nothing_is_half_made(
    api, led, services
):
    shop = api()
    pid = services.pid("redis")
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        answer = shop.post("/v1/jobs", {"graph": GRAPH})
        took = time.monotonic() - began
        ready = shop.get("/readyz")
        live = shop.get("/livez")
    finally:
        os.kill(pid, signal.SIGCONT)
    told = problem(answer, 503, "fleet-unreachable")
    assert "127.0.0.1" not in str(told)
    assert took < 2.5
    problem(ready, 503, "fleet-unreachable")
    assert live.status_code == 200
    wait_until(lambda: shop.get("/v1/jobs").status_code == 200, description="it serves again")
    assert led.fleet.jobs().jobs == []


def test_the_description_is_openapi_and_names_no_other_host(api_url):
    schema = requests.get(f"{api_url}/v1/openapi.json", timeout=5).json()
    assert schema["openapi"].startswith("3.1")
    assert "/v1/jobs/{job_id}" in schema["paths"]
    assert schema["paths"]["/v1/jobs"]["post"]["security"] == [{"key": []}]
    assert "security" not in schema["paths"]["/livez"]["get"]


def test_unknown_paths_and_methods_are_problems(api):
    shop = api()
    problem(shop.get("/v1/nothing"), 404, "not-found")
    answer = shop("DELETE", "/v1/jobs")
    problem(answer, 405, "method-not-allowed")
    assert {method.strip() for method in answer.headers["allow"].split(",")} >= {"GET"}


def test_a_url_that_is_too_long_to_be_read_is_a_problem_too(api):
    answer = api().get(f"/v1/jobs?filter={'a' * 70_000}")
    assert "65,535 bytes" in problem(answer, 400, "malformed-request")["detail"]
