"""The HTTP API: batches that come in parts, resumed, sealed, read, isolated."""

from __future__ import annotations

import gzip
import json

import pytest

from producer.store import keys
from tests.integration.api_server import GRAPH, problem

JSONL = {"Content-Type": "application/jsonl"}


def begin(client, **fields):
    answer = client.post("/v1/batches", {"graph": GRAPH, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def put(client, batch, rows, *, first=None, packed=False, query="", **headers):
    body = lines(rows)
    if first is not None:
        headers["Content-Range"] = f"rows {first}-{first + len(rows) - 1}/*"
    if packed:
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    path = f"/v1/batches/{batch['id']}/rows{query}"
    return client("POST", path, data=body, headers={**JSONL, **headers})


def colors(count, *, begin=0):
    return [{"3.color": begin + number} for number in range(count)]


def test_a_batch_comes_in_parts_and_runs_once_it_is_sealed(api, led):
    shop = api()
    batch = begin(shop, name="night", params={"3.width": 32}, metadata={"order": "7"})
    assert (batch["state"], batch["rows"], batch["owner"]) == ("open", 0, "shop")
    assert put(shop, batch, colors(200)).json()["rows"] == 200
    assert put(shop, batch, colors(100, begin=200), first=200, packed=True).json()["rows"] == 300
    rest = [{"params": {"3.color": 300}, "metadata": {"row": "last"}}]
    assert put(shop, batch, rest, first=300).json()["rows"] == 301
    assert led.fleet.jobs().jobs == []
    sealed = shop.post(f"/v1/batches/{batch['id']}/seal").json()
    assert (sealed["state"], sealed["rows"]) == ("sealed", 301)
    assert shop.post(f"/v1/batches/{batch['id']}/seal").json()["state"] == "sealed"
    page = shop.get(f"/v1/batches/{batch['id']}/rows?limit=300").json()
    rest = shop.get(
        f"/v1/batches/{batch['id']}/rows", params={"limit": 300, "cursor": page["cursor"]}
    ).json()
    jobs = page["jobs"] + rest["jobs"]
    assert [job["params"]["3.color"] for job in jobs] == list(range(301))
    assert jobs[-1]["metadata"] == {"order": "7", "row": "last"}
    assert jobs[0]["params"]["3.width"] == 32
    assert not led.redis.keys("*:request")
    assert [found["id"] for found in shop.get("/v1/batches").json()["batches"]] == [batch["id"]]


def test_a_part_that_is_sent_again_does_nothing_twice(api):
    shop = api()
    batch = begin(shop)
    for _ in range(2):
        assert put(shop, batch, colors(200), first=0).json()["rows"] == 200
    assert put(shop, batch, colors(200, begin=100), first=100).json()["rows"] == 300
    problem(put(shop, batch, colors(100), first=400), 409, "conflict")
    assert put(shop, batch, colors(5), first=300).json()["rows"] == 305
    problem(put(shop, batch, colors(5), first=305), 409, "conflict")
    assert shop.get(f"/v1/batches/{batch['id']}").json()["rows"] == 305
    sealed = shop.post(f"/v1/batches/{batch['id']}/seal").json()
    assert (sealed["state"], sealed["rows"]) == ("sealed", 305)
    problem(put(shop, batch, colors(5)), 409, "conflict")


def test_the_same_key_gives_the_same_batch(api):
    shop = api()
    headers = {"Idempotency-Key": "night-1"}
    first, again = (shop.post("/v1/batches", {"graph": GRAPH}, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json()["id"] == again.json()["id"]
    other = shop.post("/v1/batches", {"graph": GRAPH, "pool": "other"}, headers=headers)
    problem(other, 422, "idempotency-key-reuse")


def test_bad_rows_are_told_by_their_number_and_nothing_of_the_part_is_stored(api):
    shop = api()
    batch = begin(shop)
    put(shop, batch, colors(100))
    body = (
        lines([{"3.color": 1}, {"3.colour": 1}])
        + b"{\n[]\n"
        + lines([{"inputs": {"3.color": "/etc/passwd"}}])
    )
    answer = shop("POST", f"/v1/batches/{batch['id']}/rows", data=body, headers=JSONL)
    told = problem(answer, 422, "invalid-rows")
    assert [flaw["row"] for flaw in told["errors"]] == [102, 103, 104, 105]
    assert told["errors"][0]["pointer"] == "#/params/3.colour"
    assert shop.get(f"/v1/batches/{batch['id']}").json()["rows"] == 100
    added = shop(
        "POST", f"/v1/batches/{batch['id']}/rows?skip_invalid=true", data=body, headers=JSONL
    ).json()
    assert (added["rows"], added["skipped"]) == (105, 4)
    assert [row["row"] for row in added["left_out"]] == [102, 103, 104, 105]


def test_a_body_of_rows_is_bounded_and_whole(api):
    shop = api()
    batch = begin(shop)
    path = f"/v1/batches/{batch['id']}/rows"
    bomb = gzip.compress(b"\n" * (80 << 20))
    packed = gzip.compress(lines(colors(100)))
    for data, status, kind in (
        (bomb, 413, "too-large"),
        (b"{}\n" * 50_001, 413, "too-large"),
        (packed[:-5], 400, "malformed-request"),
        (packed + b"more", 400, "malformed-request"),
        (b"no gzip", 400, "malformed-request"),
    ):
        headers = {**JSONL, "Content-Encoding": "gzip"} if b"{}" not in data else JSONL
        problem(shop("POST", path, data=data, headers=headers), status, kind)
    problem(
        shop("POST", path, data=b"{}", headers={"Content-Type": "image/png"}),
        415,
        "wrong-media-type",
    )
    problem(
        shop("POST", path, data=b"{}", headers={**JSONL, "Content-Encoding": "br"}),
        415,
        "wrong-media-type",
    )
    for range_ in ("rows 0-5/*", "bytes 0-0/*", "rows 1-0/*", "what", "rows -1--1/*"):
        answer = shop("POST", path, data=b"{}\n", headers={**JSONL, "Content-Range": range_})
        assert answer.status_code in {409, 422}, answer.text
    assert shop.get(f"/v1/batches/{batch['id']}").json()["rows"] == 0
    problem(shop.post(f"/v1/batches/{batch['id']}/seal"), 422, "invalid-request")


def test_a_flaw_of_what_all_rows_share_is_told_with_its_place_in_the_batch(api):
    """The request that hands rows in has neither the graph nor the files of all."""
    shop = api()
    saver = {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "a"}}
    loader = {"class_type": "LoadImage", "inputs": {"image": "x.png"}}
    nobody = {"upload": "0" * 64}
    for graph, more, place in (
        ({**GRAPH, "9": saver}, {}, "#/graph/9"),
        ({"3": GRAPH["3"]}, {}, "#/graph"),
        ({"4": loader, "9": saver}, {}, "#/inputs/4.image"),
        ({"4": loader, "9": saver}, {"inputs": {"4.image": nobody}}, "#/inputs/4.image/upload"),
    ):
        batch = begin(shop, graph=graph, **more)
        answer = put(shop, batch, [{}])
        [flaw] = answer.json()["errors"]
        assert answer.status_code == 422
        assert (flaw["pointer"], flaw["of"], flaw.get("parameter")) == (
            place,
            f"/v1/batches/{batch['id']}",
            None,
        )
    [flaw] = problem(put(shop, begin(shop), [{"9.x": 1}]), 422, "invalid-rows")["errors"]
    assert "of" not in flaw
    wanted = {"graph": GRAPH, "inputs": {"4.image": nobody}}
    [flaw] = problem(shop.post("/v1/batches", wanted), 422, "invalid-param")["errors"]
    assert flaw["pointer"] == "#/inputs/4.image"


def test_an_open_batch_is_deleted_with_all_that_it_had(api, led):
    shop = api()
    batch = begin(shop, extra_data={"api_key_comfy_org": "comfyui-secret"})
    put(shop, batch, colors(100))
    assert shop.post(f"/v1/batches/{batch['id']}/cancel").json() == {"outcome": "discarded"}
    problem(shop.get(f"/v1/batches/{batch['id']}"), 404, "not-found")
    assert not list(led.redis.scan_iter(f"{keys.BATCH}{batch['id']}*"))
    assert not [
        key
        for key in led.redis.scan_iter("*")
        if led.redis.type(key) == "string" and "secret" in led.redis.get(key)
    ]


def test_a_batch_is_held_released_cancelled_and_its_lines_read(api):
    shop = api()
    batch = begin(shop)
    at = f"/v1/batches/{batch['id']}"
    for path in ("/hold", "/release"):
        problem(shop.post(f"{at}{path}"), 409, "conflict")
    for path in ("/rows", "/results.jsonl", "/errors.jsonl"):
        problem(shop.get(f"{at}{path}"), 409, "conflict")
    put(shop, batch, colors(3))
    shop.post(f"{at}/seal")
    assert shop.post(f"{at}/hold").json()["held"] is True
    assert shop.post(f"{at}/release").json()["held"] is False
    assert shop.get(f"{at}/errors.jsonl").text == ""
    cancelled = shop.post(f"{at}/cancel").json()
    assert (cancelled["outcome"], cancelled["batch"]["counts"]["cancelled"]) == ("cancelled", 3)
    told = [json.loads(line) for line in shop.get(f"{at}/errors.jsonl").text.splitlines()]
    assert [(row["row"], row["status"], row["params"]) for row in told] == [
        (1, "cancelled", {"3.color": 0}), (2, "cancelled", {"3.color": 1}), (3, "cancelled", {"3.color": 2}),
    ]  # fmt: skip
    assert shop.get(f"{at}/results.jsonl").text == ""


def test_another_owners_batch_is_answered_as_an_unknown_one(api):
    batch = begin(api("shop"))
    press = api("press")
    for method, path in (
        *(("GET", part) for part in ("", "/rows", "/results.jsonl", "/errors.jsonl", "/events")),
        *(("POST", part) for part in ("/seal", "/cancel", "/hold", "/release")),
    ):
        for unknown in (batch["id"], "01a202b8-2e5f-7533-81db-221400000000", "what"):
            problem(press(method, f"/v1/batches/{unknown}{path}"), 404, "not-found")
    problem(put(press, batch, colors(1)), 404, "not-found")
    assert press.get("/v1/batches").json() == {"batches": []}


def test_a_cursor_that_is_built_by_hand_shows_nothing_of_others(api, led):
    from producer.listing.cursors import Cursor, query_of  # noqa: PLC0415

    theirs = led.fleet.submit_many(GRAPH, [{}], owner="press")
    mine = led.fleet.submit_many(GRAPH, [{}], owner="shop")
    shop = api()
    filter_ = f"batch:{mine.id}"
    query = query_of(f"{filter_} owner:shop")
    for after in ("", "0 0", "0 -5", "what", "[", "(x", "0 " + "9" * 30):
        for plan in ("rows", "jobs", "ended", "running", "failed", "other"):
            cursor = Cursor(query, plan, 0, after, 0, (theirs.id,)).text
            answer = shop.get("/v1/jobs", params={"filter": filter_, "cursor": cursor})
            assert answer.status_code in {200, 404, 422}, answer.text
            assert theirs.id[:-8] not in answer.text.replace(theirs.id, "")


@pytest.mark.parametrize("value", ["/etc/passwd", "node:a.png", "s3://other/key", "../x"])
def test_no_input_names_a_file_of_the_server(api, value):
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    }
    shop = api()
    answer = shop.post("/v1/jobs", {"graph": graph, "inputs": {"1.image": value}})
    assert answer.status_code == 422
    answer = shop.post("/v1/batches", {"graph": graph, "inputs": {"1.image": value}})
    assert answer.status_code == 422
