"""Requests as people send them by mistake: each is answered by what is wrong with it, and nothing of it is passed over."""

from __future__ import annotations

import asyncio
import gzip
import json
import re

import pytest
import requests

from producer.aio import AsyncProducer
from producer.http.app import create_app
from tests.integration.api_server import GRAPH, problem

BOM = b"\xef\xbb\xbf"
FILLED = {
    "name": "portrait",
    "number": "0",
    "delivery_id": "x",
    "job_id": "x",
    "batch_id": "x",
    "action_id": "x",
}


def operations(url):
    """Return each method and path of the description, with what it says of it."""
    paths = requests.get(f"{url}/v1/openapi.json", timeout=5).json()["paths"]
    for path, methods in paths.items():
        filled = re.sub(r"\{(\w+)\}", lambda part: FILLED[part[1]], path)
        for method, told in methods.items():
            yield method.upper(), filled, told


def test_no_route_passes_over_a_body_that_it_does_not_take(api, api_url):
    """A batch that is to be cancelled with `dry_run` would be gone."""
    boss, bare = api("boss", scopes="admin"), 0
    for method, path, told in operations(api_url):
        if "requestBody" in told:
            continue
        bare += 1
        for body in (b'{"dry_run": true}', b"no JSON", b"x" * 5_000):
            answer = boss(method, path, data=body)
            told_ = problem(answer, 422, "invalid-request")
            assert told_["errors"][0]["pointer"] == "#", (method, path)
        assert ("no field dry_run" in problem(boss(method, path, json={"dry_run": True}), 422, "invalid-request")["detail"])  # fmt: skip
    assert bare > 30


def test_a_body_of_nothing_is_none(api):
    shop = api()
    for body in (b"", b"{}", b" null "):
        job = shop.submit()["id"]
        assert shop("POST", f"/v1/jobs/{job}/cancel", data=body).json()["outcome"] == "cancelled"
        assert shop("GET", f"/v1/jobs/{job}", data=body).status_code == 200


def test_a_batch_is_not_cancelled_by_who_wants_to_count(api):
    shop = api()
    batch = shop.post("/v1/batches", {"graph": GRAPH}).json()["links"]["self"]
    problem(shop.post(f"{batch}/cancel", {"dry_run": True}), 422, "invalid-request")
    assert shop.get(batch).json()["state"] == "open"


@pytest.mark.parametrize("kind", ["application/json", "application/any+json"])
def test_json_that_is_packed_is_refused_and_a_mark_of_its_encoding_is_none_of_it(api, kind):
    shop, body = api(), json.dumps({"graph": GRAPH}).encode()
    for packing, packed in (("gzip", gzip.compress(body)), ("br", body)):
        headers = {"Content-Type": kind, "Content-Encoding": packing}
        answer = shop("POST", "/v1/jobs", data=packed, headers=headers)
        assert packing in problem(answer, 415, "wrong-media-type")["detail"]
        assert answer.headers["accept-encoding"] == "identity"
    plain = {"Content-Type": kind, "Content-Encoding": "identity"}
    assert shop("POST", "/v1/jobs", data=BOM + body, headers=plain).status_code == 201
    answer = shop(
        "POST", "/v1/jobs", data=body.decode().encode("utf-16"), headers={"Content-Type": kind}
    )
    assert "UTF-8" in problem(answer, 400, "malformed-request")["advice"]
    batch = shop.post("/v1/batches", {"graph": GRAPH}).json()["links"]["rows"]
    rows = BOM + b'{"3.color": 1}\n'
    added = shop("POST", batch, data=rows, headers={"Content-Type": "application/jsonl"})
    assert added.json()["rows"] == 1


def test_a_slash_at_the_end_leads_nowhere_else(api):
    """Behind a proxy with TLS a redirect would have led to http, with the key."""
    for method, path in (("GET", "/v1/jobs/"), ("POST", "/v1/jobs/"), ("GET", "/v1/templates/")):
        told = problem(api()(method, path), 404, "not-found")
        assert told["advice"] == "leave out the slash at its end"


def test_head_is_a_get_without_its_body(api, api_url):
    shop = api()
    job = shop.submit()["links"]
    for path in ("/livez", "/v1/openapi.json"):
        assert requests.head(api_url + path, timeout=5).status_code == 200
    for path in (job["self"], "/v1/jobs", job["events"], "/v1/events", "/v1/events?x=1"):
        got, head = shop.get(path, stream=True), shop("HEAD", path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers.get("content-type") == got.headers.get("content-type")
        assert head.headers.get("content-length") == got.headers.get("content-length")
        got.close()
    answer = shop("HEAD", "/v1/moves")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_method_that_a_path_has_not_is_told_with_those_that_it_has(api):
    told = problem(api()("DELETE", "/v1/jobs"), 405, "method-not-allowed")
    assert (told["detail"], told["advice"]) == (
        "the path does not take DELETE",
        "it takes GET, HEAD, POST",
    )


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        (("POST", "/v1/actions", {"action": "cancel", "filter": ""}), {"pointer": "#/filter"}),
        (
            (
                "POST",
                "/v1/actions",
                {"action": "cancel", "filter": "all", "cursor": "x", "dry_run": True},
            ),
            {"pointer": "#/cursor"},
        ),
        (("GET", "/v1/jobs?filter=x", None), {"parameter": "filter"}),
        (("PUT", "/v1/owners/a%20b", {"max_waiting": 1}), {"parameter": "name"}),
        (("POST", "/v1/jobs/JOB/hold", None), {"parameter": "job_id"}),
        (("POST", "/v1/jobs/JOB/retry", {"secrets": {"x": 1}}), {"pointer": "#/secrets"}),
        (("GET", "/v1/batches/BATCH/rows", None), {"parameter": "batch_id"}),
        (
            ("POST", "/v1/jobs", {"graph": GRAPH, "inputs": {"3.color": {"upload": "x"}}}),
            {"pointer": "#/inputs/3.color"},
        ),
        (("POST", "/v1/jobs", {"graph": GRAPH, "pool": "X"}), {"pointer": "#/pool"}),
        (("POST", "/v1/jobs", {"graph": GRAPH, "hook": "nobody"}), {"pointer": "#/hook"}),
    ],
)
def test_what_is_wrong_is_told_with_its_place_in_this_request(api, led, asked, place):
    (method, path, body), boss = asked, api("boss", scopes="admin")
    job = led.cancelled(led.queued(owner="boss")).id
    batch = boss.post("/v1/batches", {"graph": GRAPH}).json()["id"]
    answer = boss(method, path.replace("JOB", job).replace("BATCH", batch), json=body)
    [flaw] = answer.json()["errors"]
    assert {name: flaw[name] for name in ("pointer", "parameter") if name in flaw} == place


def test_a_form_that_names_a_file_is_told_by_its_place_in_the_body(api):
    reads = {**GRAPH, "3": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}
    for form, place in (
        ({"upload": "x"}, "#/inputs/3.image/upload"),
        ({"base64": "!"}, "#/inputs/3.image/base64"),
        ({"artifact": {"job": 7}}, "#/inputs/3.image/artifact/job"),
        ({}, "#/inputs/3.image"),
    ):
        answer = api().post("/v1/jobs", {"graph": reads, "inputs": {"3.image": form}})
        assert problem(answer, 422, "invalid-input")["errors"][0]["pointer"] == place
    answer = api().post("/v1/jobs", {"graph": reads})
    assert '"3.image": {"upload": ID}' in problem(answer, 422, "invalid-input")["advice"]


@pytest.mark.parametrize(
    ("body", "words"),
    [(GRAPH, '{"graph": {...}}'), ({"prompt": GRAPH}, '"graph"'), ({"workflow": {}}, '"graph"')],
)
def test_a_body_as_comfyui_itself_takes_it_is_told_what_to_make_of_it(api, body, words):
    assert words in problem(api().post("/v1/jobs", body), 422, "invalid-request")["advice"]


def test_a_node_is_read_by_its_name(api):
    told = problem(api("ops", scopes="operate").get("/v1/nodes/gpu-99"), 404, "not-found")
    assert "gpu-99" in told["detail"]


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/v1/jobs", "application/json"),
        ("POST", "/v1/jobs", "application/any+json"),
        ("PUT", "/v1/templates/portrait", "application/json"),
        ("POST", "/v1/uploads", "image/png"),
        ("POST", "/v1/actions/x/cancel", "application/json"),
        ("POST", "/v1/jobs/x/cancel", "application/json"),
        ("POST", "/v1/batches/BATCH/rows", "application/jsonl"),
    ],
)
def test_who_goes_away_within_a_body_is_no_bug_of_ours(led, caplog, method, path, kind):
    key = led.fleet.keys.create("shop", owner="shop", scopes=["submit", "read"]).secret
    batch = led.fleet.begin_batch(GRAPH, owner="shop").batch.id
    parts = [
        {"type": "http.request", "body": b'{"graph": {', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def serve():
        async def receive():
            return parts.pop(0) if parts else {"type": "http.disconnect"}

        async def send(_):
            pass

        headers = {"authorization": f"Bearer {key}", "content-type": kind, "content-length": "500"}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path.replace("BATCH", batch),
            "raw_path": path.replace("BATCH", batch).encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        async with AsyncProducer(led.settings) as fleet:
            await create_app(fleet, led.settings)(scope, receive, send)

    asyncio.run(serve())
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
