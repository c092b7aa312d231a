"""The HTTP API: jobs that are handed in, asked of a real process."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.integration.api_server import GRAPH, problem


def test_the_same_key_gives_the_same_job_and_another_request_is_refused(api):
    shop = api()
    headers = {"Idempotency-Key": "order-1"}
    first = shop.post("/v1/jobs", {"graph": GRAPH}, headers=headers)
    again = shop.post("/v1/jobs", {"graph": GRAPH}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json()["id"] == again.json()["id"]
    other = shop.post("/v1/jobs", {"graph": GRAPH, "pool": "other"}, headers=headers)
    problem(other, 422, "idempotency-key-reuse")
    assert api("press").post("/v1/jobs", {"graph": GRAPH}, headers=headers).status_code == 201


def test_what_waits_already_is_found_again_though_nothing_more_may_wait(api):
    shop, headers = api(max_waiting=1), {"Idempotency-Key": "order-1"}
    made = shop.post("/v1/jobs", {"graph": GRAPH}, headers=headers).json()["id"]
    again = shop.post("/v1/jobs", {"graph": GRAPH}, headers=headers)
    assert (again.status_code, again.json()["id"]) == (200, made)
    assert again.headers["idempotent-replayed"] == "true"
    for other in ({"headers": {"Idempotency-Key": "order-2"}}, {}):
        problem(shop.post("/v1/jobs", {"graph": GRAPH}, **other), 429, "backlog-full")


def test_fifty_submissions_at_once_with_one_key_make_one_job(api, led):
    shop = api()

    def submit(_):
        return requests.post(
            f"{shop.url}/v1/jobs",
            json={"graph": GRAPH},
            headers={"Authorization": f"Bearer {shop.key}", "Idempotency-Key": "once"},
            timeout=30,
        )

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(submit, range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(led.fleet.jobs().jobs) == 1


def test_what_is_wrong_is_told_with_its_place_and_what_would_do(api, led):
    shop = api()
    told = problem(
        shop.post("/v1/jobs", {"graph": GRAPH, "params": {"3.colour": 1}}), 422, "invalid-param"
    )
    assert told["errors"][0]["pointer"] == "#/params/3.colour"
    told = problem(shop.post("/v1/jobs", {"graph": {"3": {"inputs": {}}}}), 422, "invalid-graph")
    assert told["errors"][0]["pointer"] == "#/graph/3"
    told = problem(shop.post("/v1/jobs", {"graph": GRAPH, "tier": "now"}), 422, "invalid-request")
    assert told["errors"][0]["pointer"] == "#/tier"
    assert told["errors"][0]["allowed"] == ["rush", "default", "batch", "idle"]
    told = problem(
        shop.post("/v1/jobs", {"graph": GRAPH, "owner": "press"}), 422, "invalid-request"
    )
    assert told["errors"][0]["pointer"] == "#/owner"
    told = problem(shop.get("/v1/jobs?filter=stat:failed"), 422, "invalid-request")
    assert told["errors"][0]["parameter"] == "filter"
    assert led.fleet.jobs().jobs == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"graph": NaN}',
        b'{"graph": {}, "graph": {}}',
        b'{"graph": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"graph": ' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}",
        b'{"graph": {"a": ' + b"9" * 5_000 + b"}}",
        b'{"graph": {"\\ud800": 1}}',
        b'{"graph": {}, "metadata": {"a": "\\udc00"}}',
        b'{"graph": {}, "run_within_s": 1e999}',
        b"[]",
        b'"x"',
        b'{"graph": {}, "params": []}',
        json.dumps(
            {"graph": {str(n): {"class_type": "A", "inputs": {}} for n in range(30_000)}}
        ).encode(),
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
def test_a_body_that_makes_no_sense_is_a_problem_and_nothing_is_stored(api, led, body):
    answer = api()("POST", "/v1/jobs", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 5_000
    assert led.fleet.jobs().jobs == []


def test_a_body_of_another_type_or_too_large_is_refused(api):
    shop = api()
    problem(
        shop("POST", "/v1/jobs", data=b"graph", headers={"Content-Type": "text/plain"}),
        415,
        "wrong-media-type",
    )
    large = b'{"graph": {"a": "' + b"x" * (17 << 20) + b'"}}'
    for data in (large, iter([large])):  # with its length announced, and in chunks
        try:
            answer = shop(
                "POST", "/v1/jobs", data=data, headers={"Content-Type": "application/json"}
            )
        except requests.ConnectionError:
            continue  # it is answered, and hung up on, while it is still being sent
        problem(answer, 413, "too-large")


def test_prefer_wait_answers_with_the_ended_job(api, led):
    shop = api()
    thread = threading.Timer(
        0.3, lambda: [led.fleet.cancel(job.id) for job in led.fleet.jobs().jobs]
    )
    thread.start()
    longest = {"Prefer": "wait=99999999999"}
    answer = shop.post("/v1/jobs", {"graph": GRAPH}, headers=longest)
    thread.join()
    assert (answer.status_code, answer.json()["status"]) == (201, "cancelled")
    assert answer.headers["preference-applied"] == "wait=60"  # the longest that there is
    late = shop.post("/v1/jobs", {"graph": GRAPH}, headers={"Prefer": "respond-async, wait=1"})
    assert (late.status_code, late.json()["done"]) == (201, False)


def test_who_goes_away_while_it_waits_leaves_nothing_behind(api, led, api_url):
    shop = api()
    host, _, port = api_url.removeprefix("http://").partition(":")
    body = json.dumps({"graph": GRAPH}).encode()
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {shop.key}\r\nPrefer: wait=60\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for cut in (len(head) // 2, len(head) + len(body) // 2, len(head) + len(body)):
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall((head.encode() + body)[:cut])
    assert shop.get("/v1/jobs").status_code == 200
    assert len(led.fleet.jobs().jobs) <= 1


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"graph": GRAPH, "params": {"3.color": 7}, "metadata": {"order": "7"}}, {}),
        ({"graph": GRAPH, "tier": "rush", "start_within_s": 60}, {"Prefer": "wait=1"}),
        ({"graph": GRAPH}, {"Idempotency-Key": "k"}),
        ({"graph": GRAPH, "idempotency_key": "a"}, {"Idempotency-Key": "b"}),
        ({"graph": GRAPH}, {"Idempotency-Key": "k" * 513}),
        ({"graph": GRAPH, "params": {"3.colour": 1}}, {}),
        ({"graph": {**GRAPH, "3": {"inputs": {}}}}, {}),
        ({"graph": GRAPH, "hook": "nobody"}, {}),
        ({"graph": GRAPH, "tier": "now", "owner": "press"}, {}),
        ({"graph": GRAPH, "template": "portrait"}, {}),
        ({"template": "none"}, {}),
        ({}, {}),
        ([], {}),
        (b"", {}),
        (b'{"graph": {}, "graph": {}}', {}),
        (b'{"graph": NaN}', {}),
        (b"\xff", {}),
    ],
)
def test_a_plain_submission_is_answered_as_any_other(api, body, headers):
    # A type of JSON that few name goes through FastAPI; the other way is a short one.
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = []
    for number, kind in enumerate(("application/json", "application/any+json")):
        shop = api(f"shop-{number}")
        answer = requests.post(
            f"{shop.url}/v1/jobs",
            data=raw,
            headers={"Authorization": f"Bearer {shop.key}", "Content-Type": kind, **headers},
            timeout=30,
        )
        job = answer.json()
        for part in (
            "id",
            "links",
            "owner",
            "created_at",
            "queued_at",
            "start_deadline",
            "timings",
            "waiting_for",
        ):
            job.pop(part, None)
        names = sorted({name.lower() for name in answer.headers} - {"content-length", "date"})
        told.append(
            (
                answer.status_code,
                names,
                json.dumps(job, sort_keys=True).replace(f"shop-{number}", "shop"),
            )
        )
    assert told[0] == told[1]


def test_a_key_that_may_not_submit_is_refused_before_its_body_is_read(api):
    reader = api("shop", scopes="read")
    told = problem(reader.post("/v1/jobs", {"graph": GRAPH}), 403, "forbidden")
    assert "submit" in told["detail"]
