"""The HTTP API asked by web pages of other origins, as a browser would ask."""

from __future__ import annotations

import pytest
import requests

from producer.http.cross_origin import ANSWER_HEADERS, REQUEST_HEADERS

SHOP = "https://shop.example"


def preflight(url, origin, *headers, method="POST"):
    return requests.options(
        f"{url}/v1/jobs",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": ",".join(sorted(headers)).lower(),
        },
        timeout=10,
    )


@pytest.mark.parametrize("origin", [SHOP, "http://localhost:5173"])
def test_a_browser_is_told_without_a_key_that_it_may_send_one(api_url, origin):
    told = preflight(api_url, origin, *REQUEST_HEADERS)
    assert (told.status_code, told.headers["access-control-allow-origin"]) == (200, origin)
    assert "access-control-allow-credentials" not in told.headers


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "https://shop.example.evil.example", "https://localhost"],
)
def test_a_page_of_another_origin_gets_no_answer_that_it_may_read(api_url, api, origin):
    told = preflight(api_url, origin, "Authorization")
    assert (told.status_code, told.headers.get("access-control-allow-origin")) == (400, None)
    answer = api().get("/v1/jobs", headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_reads_jobs_problems_and_refusals(api, api_url):
    shop, headers = api(), {"Origin": SHOP}
    made = shop.post("/v1/jobs", {"graph": {}}, headers=headers)
    answers = [
        made,
        shop.get("/v1/jobs", headers=headers),
        shop.get("/v1/none", headers=headers),
        shop("PATCH", "/v1/jobs", headers=headers),
        requests.get(f"{api_url}/v1/jobs", headers=headers, timeout=10),
    ]
    assert [answer.status_code for answer in answers] == [422, 200, 404, 405, 401]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert answer.headers["vary"] == "Origin"
    exposed = made.headers["access-control-expose-headers"]
    assert {"Location", "Retry-After", "Idempotent-Replayed"} <= set(exposed.split(", "))


def test_every_header_that_a_route_takes_may_come_from_a_page(api_url):
    described = requests.get(f"{api_url}/v1/openapi.json", timeout=10).json()
    taken = {
        parameter["name"].lower()
        for methods in described["paths"].values()
        for operation in methods.values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "header"
    }
    assert {"idempotency-key", "last-event-id", "prefer"} <= taken
    # A page may always send `Accept`.
    assert taken - {"accept"} <= {header.lower() for header in REQUEST_HEADERS}


def test_every_header_that_an_answer_describes_may_be_read_by_a_page(api_url):
    described = requests.get(f"{api_url}/v1/openapi.json", timeout=10).json()
    told = {
        name
        for methods in described["paths"].values()
        for operation in methods.values()
        for answer in operation.get("responses", {}).values()
        for name in answer.get("headers", {})
    }
    assert "Retry-After" in told
    # Every page may read `Cache-Control` and its like.
    assert told - {"Cache-Control"} <= set(ANSWER_HEADERS)


def test_a_stream_of_events_is_read_by_a_page(api):
    shop = api()
    job = shop.submit()
    shop.post(job["links"]["cancel"])
    answer = shop.get(job["links"]["events"], headers={"Origin": SHOP}, stream=True)
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert b'"cancelled"' in answer.content
