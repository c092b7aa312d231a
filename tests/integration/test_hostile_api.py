"""The client of the HTTP API where what answers there is another program, or means harm."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import time
from datetime import timedelta

import pytest
from aiohttp import web

from producer.contract.errors import FleetError, FleetUnreachable, ObjectConflict, StorageError
from producer.contract.jobs import Artifact
from producer.http_client import HttpProducer
from tests.integration.api_server import GRAPH
from tests.integration.scripted_node import raw, scripted_node
from tests.integration.test_http_client_faults import (
    CANCEL,
    EVENTS,
    GET,
    ID,
    JOB,
    KEY,
    event,
    fleet,
    stream,
    told,
)
from tests.polling import wait_until

ARTIFACT = {
    "key": f"p/jobs/{ID}/1/9-0.png", "graph_node": "9", "index": 0, "kind": "images", "type": "output", "name": "a.png",
    "media_type": "image/png", "bytes": 3, "sha256": "0" * 64,
}  # fmt: skip
WITH_ARTIFACT = {**JOB, "status": "succeeded", "done": True, "artifacts": [ARTIFACT]}
BATCH = "01a202b8-2e5f-7533-81db-221400000000"
CALLS = {
    GET: lambda fleet: fleet.get(ID),
    CANCEL: lambda fleet: fleet.cancel(ID),
    "GET /v1/jobs": lambda fleet: fleet.jobs(),
    "POST /v1/jobs": lambda fleet: fleet.submit(GRAPH),
    f"GET /v1/batches/{BATCH}": lambda fleet: fleet.batch(BATCH),
    "GET /v1/batches": lambda fleet: fleet.find_batch("night"),
    "GET /v1/queue": lambda fleet: fleet.queue(),
    "GET /v1/totals": lambda fleet: fleet.totals(),
    "POST /v1/moves": lambda fleet: fleet.move("tier:batch", tier="idle"),
    "POST /v1/actions": lambda fleet: fleet.act("cancel", "status:queued", dry_run=True),
    "POST /v1/nodes/drain": lambda fleet: fleet.drain_nodes(["a"]),
    "GET /v1/templates/a": lambda fleet: fleet.templates.get("a"),
    "POST /v1/webhooks": lambda fleet: fleet.webhooks.create("a", "https://shop.example"),
}
ODD = [b"[]", b"{}", b"null", b"7", b'{"outcome":[],"moved":"x","matched":null}', b"[" * 100_000, b"\xff\xfe", b"<html>",
       b'{"jobs":[{"id":{}}],"batches":[],"lines":{},"pools":[7],"nodes":7}']  # fmt: skip


def body(content, kind="application/json", status=200, **headers):
    return web.Response(body=content, status=status, headers={"Content-Type": kind, **headers})


def test_answers_of_another_form_are_told_in_one_sentence():
    for content in ODD:
        with fleet(routes={path: [body(content)] for path in CALLS}) as (producer, _):
            for path, call in CALLS.items():
                with pytest.raises(FleetUnreachable) as caught:
                    call(producer)
                assert path.split()[1] in str(caught.value), content[:20]
                assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "problem",
    [{"errors": 7}, {"errors": [{"row": "x"}], "error": {"kind": "InvalidRows"}}, {"error": {"kind": []}},
     {"errors": [{"parameter": []}], "error": {"kind": "InvalidJob"}}, {"detail": ["\x1b[2J"] * 10_000, "advice": {}}],
)  # fmt: skip
def test_problems_of_another_form_are_errors_of_the_fleet(problem):
    answer = body(json.dumps(problem).encode(), "application/problem+json", 422)
    with fleet(routes={GET: [answer]}) as (producer, _), pytest.raises(FleetError) as caught:
        producer.get(ID)
    assert len(str(caught.value)) < 6_000
    assert str(caught.value).replace("\n", "").isprintable()


def endless(part, pause=0.0, **headers):
    """Return a route that sends the same part for ever."""

    async def answer(request):
        response = web.StreamResponse(headers={"Content-Type": "application/json", **headers})
        await response.prepare(request)
        while True:
            await response.write(part)
            await asyncio.sleep(pause)

    return answer


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_without_an_end_is_given_up_and_not_asked_for_again(monkeypatch, status):
    monkeypatch.setattr("producer.over_http.answers.MOST_BYTES", 1 << 20)

    async def bomb(_):
        packed = gzip.compress(bytes(64 << 20), 1)
        return body(packed, status=status, **{"Content-Encoding": "gzip"})

    for answer in (bomb, endless(b" " * 50_000)):
        with fleet(routes={GET: [answer]}) as (producer, server):
            with pytest.raises(FleetUnreachable, match="more than 1,048,576 bytes"):
                producer.get(ID)
            assert server.asked == [GET]


def test_an_answer_that_dribbles_takes_no_longer_than_is_told(monkeypatch):
    monkeypatch.setattr("producer.over_http.answers._WHOLE_S", 0.3)
    heads = [b"HTTP/1.1 100 Continue\r\n\r\n"] * 100, [b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 90]
    for answer, said in (
        (endless(b" ", 0.05), "not whole after 0.3 s"),
        (raw(*heads[0]), "no answer in time"),
        (raw(*heads[1]), "no answer in time"),
    ):
        with fleet(routes={CANCEL: [answer]}, timeout=timedelta(seconds=0.4)) as (producer, _):
            began = time.monotonic()
            with pytest.raises(FleetUnreachable, match=said):
                producer.cancel(ID)
            assert time.monotonic() - began < 2


def test_neither_key_nor_cookies_go_anywhere_else():
    with scripted_node({}) as elsewhere:
        moved = {"Location": f"{elsewhere.url}/v1/jobs"}
        routes = {
            GET: [body(json.dumps(JOB).encode(), **{"Set-Cookie": "a=b; Path=/"})],
            "GET /v1/jobs": [web.Response(status=302, headers=moved)],
            EVENTS: [web.Response(status=307, headers=moved)],
        }
        with fleet(routes=routes) as (producer, server):
            producer.get(ID)
            producer.get(ID)
            for call in (producer.jobs, lambda: list(producer.stream(ID))):
                with pytest.raises(FleetUnreachable, match="redirects to"):
                    call()
            assert not any("Cookie" in headers for headers in server.headers)
        assert elsewhere.asked == []


def test_an_artifact_comes_from_an_address_of_a_store_and_no_larger_than_it_was(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("producer.over_http.answers._MINUTE_S", 0.3)
    artifact = Artifact.model_validate(ARTIFACT)
    large = artifact.model_copy(update={"bytes": 1_000_000})
    of_size = {"large": artifact, "slow": large, "moved": artifact}
    job, link = f"GET /v1/jobs/{ID}", f"GET /v1/jobs/{ID}/artifacts/0"
    for odd in ("javascript:alert(1)", "/v1/elsewhere", "file:///etc/passwd"):
        found = web.Response(status=302, headers={"Location": odd})
        with (
            fleet(routes={job: [told(WITH_ARTIFACT)], link: [found]}) as (producer, _),
            pytest.raises(FleetUnreachable, match="no address of a store"),
        ):
            producer.url(artifact)
    store = {
        "GET /large": endless(b"x" * 50_000),
        "GET /slow": endless(b"x", 0.05),
        "GET /moved": body_route(web.Response(status=302, headers={"Location": "/large"})),
    }
    with scripted_node(store) as stored:
        for path, error in (
            ("large", ObjectConflict),
            ("slow", StorageError),
            ("moved", StorageError),
        ):
            found = web.Response(status=302, headers={"Location": f"{stored.url}/{path}"})
            with fleet(routes={job: [told(WITH_ARTIFACT)], link: [found]}) as (producer, _):
                with pytest.raises(error):
                    producer.fetch(of_size[path], tmp_path / "a.png")
                assert not (tmp_path / "a.png").exists()
        assert stored.asked == ["GET /large", "GET /slow", "GET /moved"]


def body_route(answer):
    async def handle(_):
        return answer

    return handle


HEAD = {"Content-Type": "text/event-stream"}
ODD_STREAMS = {
    "a line without an end": endless(b"x" * 50_000, **HEAD),
    "an event without an end": endless(b"data: " + b"x" * 5_000 + b"\n", **HEAD),
    "an id that is none": stream(event(1).replace(b"id: 1-0", "id: 1-ü\u2028".encode(), 1)),
    "no JSON": stream(b"id: 1-0\ndata: {\n\n"),
    "a list": stream(b"id: 1-0\ndata: []\n\n"),
    "nested": stream(b"id: 1-0\ndata: " + b"[" * 50_000 + b"\n\n"),
    "a page": body_route(web.Response(text="<html>data:", content_type="text/html")),
}


@pytest.mark.parametrize("odd", ODD_STREAMS)
def test_a_stream_of_something_else_ends_with_an_error(monkeypatch, odd):
    for module in ("answers", "event_stream"):
        monkeypatch.setattr(f"producer.over_http.{module}.LONGEST_LINE", 1 << 20)
    with fleet(routes={EVENTS: [ODD_STREAMS[odd]]}) as (producer, _):
        with pytest.raises(FleetUnreachable) as caught:
            list(producer.stream(ID, timeout=timedelta(seconds=20)))
        assert len(str(caught.value)) < 600


def begins_then(*parts):
    return stream(b"retry: 2000\n\nid: 1-0\n\n", *parts)


@pytest.mark.parametrize(
    "then",
    [begins_then("id: ü\n\n".encode()), begins_then(b"id: 2-0\ndata: []\n\n"), web.Response(status=204)],
    ids=["an odd id", "a list", "over"],
)  # fmt: skip
def test_a_watch_asks_an_odd_api_no_more_than_now_and_then(monkeypatch, caplog, then):
    monkeypatch.setattr("producer.over_http.event_reader._REFUSED_S", 0.15)
    monkeypatch.setattr("producer.over_http.event_stream._AGAIN_S", 0.15)
    caplog.set_level(logging.WARNING)
    path = "GET /v1/events"
    with fleet(routes={path: [begins_then(), then]}) as (producer, server), producer.watch(ID):
        wait_until(lambda: server.asked.count(path) >= 3, description="it is asked again")
        at = server.asked.count(path), time.monotonic()
        wait_until(lambda: time.monotonic() - at[1] > 0.5, description="half a second has passed")
        assert server.asked.count(path) - at[0] <= 5
    assert not any("Traceback" in record.getMessage() for record in caplog.records)
    assert not [record for record in caplog.records if record.exc_info]


def test_a_watch_does_not_wait_for_ever_for_a_stream_to_begin(monkeypatch):
    monkeypatch.setattr("producer.over_http.event_stream.SILENT_S", 0.3)
    monkeypatch.setattr("producer.over_http.event_stream._AGAIN_S", 0.01)
    for part in (b"data: x\n", b":\n\n"):
        with fleet(routes={"GET /v1/events": [endless(part, 0.05, **HEAD)]}) as (producer, _):
            began = time.monotonic()
            with pytest.raises(FleetUnreachable), producer.watch(ID):
                pass
            assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "url",
    ["http://fleet.example#a", "http://fleet.example:99999", "http://[::1", "http://fleet.example/a b",
     "http://:pass@fleet.example", "http://fleet.example\\@elsewhere.example", "http://fleet.example/\x1b[2J"],
)  # fmt: skip
def test_an_address_to_which_no_path_can_be_added_is_refused(url):
    with pytest.raises(FleetError, match=r"^url: "):
        HttpProducer(url, KEY)


def test_results_that_are_no_json_end_with_an_error():
    path = f"GET /v1/batches/{BATCH}/results.jsonl"
    for content in (b"{\n", b"[" * 100_000 + b"\n"):
        with (
            fleet(routes={path: [body(content)]}) as (producer, _),
            pytest.raises(FleetUnreachable, match="no JSON"),
        ):
            list(producer.batch_results(BATCH))


def test_a_list_that_goes_on_where_it_was_ends_with_an_error():
    page = told({"jobs": [JOB], "cursor": "again"})
    with fleet(routes={f"GET /v1/batches/{BATCH}/rows": [page]}) as (producer, server):
        with pytest.raises(FleetUnreachable, match="would have no end"):
            list(producer.batch_jobs(BATCH))
        assert len(server.asked) == 2


def test_events_of_a_good_stream_still_come():
    with fleet(routes={EVENTS: [stream(event(1), event(2, "cancelled", "cancelled"))]}) as (p, _):
        assert [found.n for found in p.stream(ID)] == [1, 2]


def test_an_answer_that_was_read_leaves_its_connection_to_the_next():
    packed = body(gzip.compress(json.dumps(JOB).encode()), **{"Content-Encoding": "gzip"})
    for answers in ([told(JOB)], [packed], [body(b"[]"), told(JOB)]):
        with fleet(routes={GET: answers}) as (producer, server):
            for _ in range(3):
                try:
                    producer.get(ID)
                except FleetUnreachable:
                    continue
            assert len(server.ports) == 1
