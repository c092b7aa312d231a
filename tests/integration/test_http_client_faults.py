"""The client of the HTTP API where answers are late, torn, foreign, or do not come."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from contextlib import contextmanager
from datetime import timedelta

import pytest
from aiohttp import web

from producer.contract.cancel_outcomes import Cancelled
from producer.contract.errors import (
    FleetUnreachable,
    InvalidSettings,
    JobNotFound,
    StorageError,
    TooManyRequests,
)
from producer.http.problems import Problem, ProblemType
from producer.http_client import HttpProducer
from producer.over_http.connection import Connection
from tests.integration.api_server import GRAPH
from tests.integration.scripted_node import scripted_node

KEY = "cfk_a-secret"
ID = "01a202b8-2e5f-7533-81db-221426b72003"
JOB = {
    "id": ID, "status": "queued", "done": False, "attempt": 1, "tier": "default", "pool": "default", "queue": "default",
    "template": "0", "created_at": "2026-11-28T20:00:00Z", "start_deadline": "2026-12-28T20:00:00Z", "run_within_s": 60,
}  # fmt: skip
ENDED = {**JOB, "status": "cancelled", "done": True}
SUBMIT, GET, CANCEL, EVENTS = (
    "POST /v1/jobs", f"GET /v1/jobs/{ID}", f"POST /v1/jobs/{ID}/cancel", f"GET /v1/jobs/{ID}/events",
)  # fmt: skip


def problem(kind, after=None):
    found = Problem(kind, "it is so").response()
    headers = {**found.headers, **({"retry-after": str(after)} if after is not None else {})}
    headers.pop("content-length")
    return web.Response(body=found.body, status=found.status_code, headers=headers)


def told(job, status=200):
    return web.json_response(job, status=status)


class Script:
    """Answers what is planned, one after the other; the last for ever."""

    def __init__(self, *answers):
        self.answers = deque(answers)

    async def answer(self, request):
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await request.read()
            request.transport.abort()
            return web.Response()
        if callable(answer):
            return await answer(request)
        return _copy(answer)


def _copy(answer):
    headers = {k: v for k, v in answer.headers.items() if k.lower() != "content-length"}
    return web.Response(body=answer.body, status=answer.status, headers=headers)


@contextmanager
def fleet(**options):
    routes = options.pop("routes")
    with (
        scripted_node(
            {path: Script(*answers).answer for path, answers in routes.items()}
        ) as server,
        HttpProducer(server.url, KEY, **options) as producer,
    ):
        yield producer, server


@pytest.mark.parametrize(
    "first",
    [None, problem(ProblemType.FLEET_UNREACHABLE, 0), web.Response(text="<html>", status=502)],
    ids=["hung up", "redis away", "bad gateway"],
)
def test_what_hands_in_is_sent_again_under_the_key_that_it_made(first):
    with fleet(routes={SUBMIT: [first, told(JOB, 201)]}) as (producer, server):
        assert producer.submit(GRAPH).id == ID
    bodies = [json.loads(body) for body in server.bodies]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    assert bodies[0]["idempotency_key"].startswith("own-")


def test_what_may_have_been_done_is_not_sent_again():
    with fleet(routes={CANCEL: [None]}) as (producer, server):
        with pytest.raises(FleetUnreachable):
            producer.cancel(ID)
        assert server.asked == [CANCEL]
    with fleet(routes={CANCEL: [problem(ProblemType.STORAGE_UNAVAILABLE, 0)]}) as (
        producer,
        server,
    ):
        with pytest.raises(StorageError):
            producer.cancel(ID)
        assert server.asked == [CANCEL]


def test_what_was_refused_as_too_often_waits_as_long_as_it_is_told():
    answers = [problem(ProblemType.TOO_MANY_REQUESTS, 1), told({**ENDED, "outcome": "cancelled"})]
    with fleet(routes={CANCEL: answers}) as (producer, _):
        began = time.monotonic()
        assert producer.cancel(ID) is Cancelled.CANCELLED
        assert time.monotonic() - began >= 1
    long = problem(ProblemType.TOO_MANY_REQUESTS, 3_600)
    with fleet(routes={GET: [long]}) as (producer, server):
        with pytest.raises(TooManyRequests) as caught:
            producer.get(ID)
        assert caught.value.after == timedelta(hours=1)
        assert server.asked == [GET]


def test_outages_are_told_in_a_sentence_without_the_key():
    async def hang(_):
        await asyncio.sleep(60)

    moved = web.Response(status=301, headers={"Location": "https://elsewhere.example/v1/jobs"})
    for answer, said in (
        (web.Response(text="<html>nothing here", status=404), "not as the API does"),
        (web.Response(text="[1", content_type="application/json"), "not as the API does"),
        (moved, "redirects to 'https://elsewhere.example"),
        (web.Response(text="<html>", status=504), "answers 504"),
        (hang, "no answer in time"),
    ):
        with fleet(routes={GET: [answer]}, timeout=timedelta(seconds=0.2)) as (producer, _):
            with pytest.raises(FleetUnreachable, match=said) as caught:
                producer.get(ID)
            assert KEY not in str(caught.value) + repr(caught.value) + repr(producer)
    with HttpProducer("http://127.0.0.1:9", KEY) as producer:
        began = time.monotonic()
        with pytest.raises(
            FleetUnreachable, match=r"127\.0\.0\.1:9 does not answer: connection refused"
        ):
            producer.cancel(ID)
        assert time.monotonic() - began < 5


def test_the_key_is_the_one_that_was_given_whatever_netrc_says(tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with fleet(routes={GET: [told(JOB)]}) as (producer, server):
        producer.get(ID)
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_an_address_may_end_in_the_version_of_the_api():
    with fleet(routes={GET: [told(JOB)] * 4}) as (_, server):
        for end in ("", "/", "/v1", "/v1/"):
            with HttpProducer(server.url + end, KEY) as producer:
                assert producer.get(ID).id == ID
    host = Connection("http://v1/", KEY, timeout=timedelta(seconds=1))
    assert host.url == "http://v1"


@pytest.mark.parametrize(
    ("url", "key"),
    [("fleet.example", KEY), ("ftp://fleet.example", KEY), ("http://", KEY), ("http://a:b@fleet.example", KEY),
     ("http://fleet.example?x", KEY), ("http://fleet.example", ""), ("http://fleet.example", "two words"),
     ("http://fleet.example", "cfk_\nx")],
)  # fmt: skip
def test_an_address_or_a_key_of_another_form_is_refused_at_once(url, key):
    with pytest.raises(InvalidSettings) as caught:
        HttpProducer(url, key)
    assert KEY not in str(caught.value)


def event(number, status="queued", kind="queued"):
    body = {
        "id": f"{number}-0", "job": ID, "n": number, "type": kind, "status": status, "attempt": 1,
        "at": "2026-11-28T20:00:00Z",
    }  # fmt: skip
    return f"id: {number}-0\ndata: {json.dumps(body)}\n\n".encode()


def stream(*parts):
    """Return a route that sends parts and hangs up."""

    async def answer(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        request.transport.abort()
        return response

    return answer


@pytest.fixture
def without_pauses(monkeypatch):
    monkeypatch.setattr("producer.over_http.event_stream._AGAIN_S", 0.01)


async def resumed(request):
    """Send what comes after the last event that the client says it has had."""
    after = int(request.headers.get("Last-Event-ID", "0-0").partition("-")[0])
    left = [event(number) for number in (2, 4, 5) if number > after]
    return await stream(*left, event(6, "cancelled", "cancelled"))(request)


@pytest.mark.usefixtures("without_pauses")
def test_a_stream_that_is_cut_anywhere_goes_on_after_the_last_whole_event():
    whole = b"retry: 2000\n\n" + event(1, kind="snapshot") + event(2) + b":\nid: 3-0\n\n" + event(4)
    after_ids = [whole.index(f"id: {number}-0".encode()) + 8 for number in (1, 2, 3, 4)]
    for cut in (7, *after_ids, len(whole) // 2, len(whole) - 30, len(whole) - 1, len(whole)):
        first = stream(whole[: cut // 2], whole[cut // 2 : cut])
        answers = [first, None, problem(ProblemType.TOO_MANY_STREAMS, 0), resumed]
        with fleet(routes={EVENTS: answers}) as (producer, _):
            numbers = [told.n for told in producer.stream(ID) if told.type != "snapshot"]
        assert numbers == [2, 4, 5, 6], cut


@pytest.mark.usefixtures("without_pauses")
def test_after_a_reset_the_present_state_is_told_anew_and_else_only_once():
    snapshot = event(9, kind="snapshot")
    answers = [
        stream(event(1, kind="snapshot")),
        stream(event(1, kind="snapshot"), b"event: preview\ndata: {}\n\n", event(2)),
        stream(b"event: reset\ndata: {}\n\n", snapshot),
        stream(event(10, "cancelled", "cancelled")),
    ]
    with fleet(routes={EVENTS: answers}) as (producer, _):
        assert [(told.type, told.n) for told in producer.stream(ID)] == [
            ("snapshot", 1), ("queued", 2), ("snapshot", 9), ("cancelled", 10),
        ]  # fmt: skip


def test_a_stream_of_what_was_all_told_gives_the_end():
    with fleet(routes={EVENTS: [web.Response(status=204)], GET: [told(ENDED)]}) as (producer, _):
        [found] = producer.stream(ID, after="7-0")
    assert (found.type, found.status, found.id) == ("snapshot", "cancelled", "7-0")


def test_a_silent_stream_ends_with_the_timeout_and_a_refused_one_at_once():
    async def silent(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event(1, kind="snapshot"))
        await asyncio.sleep(60)
        return response

    with fleet(routes={EVENTS: [silent]}) as (producer, _):
        began = time.monotonic()
        assert len(list(producer.stream(ID, timeout=timedelta(seconds=0.5)))) == 1
        assert 0.4 < time.monotonic() - began < 5
    gone = Problem(ProblemType.NOT_FOUND, "none", error={"kind": "JobNotFound", "job_id": ID})
    lost = web.Response(
        body=gone.response().body, status=404, content_type="application/problem+json"
    )
    with fleet(routes={EVENTS: [lost]}) as (producer, _), pytest.raises(JobNotFound) as caught:
        list(producer.stream(ID))
    assert caught.value.job_id == ID
