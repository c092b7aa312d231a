"""All watchers of a client share one stream of the API, which is cut, refused, torn, and reset."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack
from datetime import timedelta

import pytest

from producer.contract.errors import FleetUnreachable
from producer.events.notices import LAGGED
from producer.events.subscribers import BATCHES, EVERYTHING
from producer.http.problems import ProblemType
from producer.http_aio import AsyncHttpProducer
from tests.integration.test_http_client_faults import GET, ID, KEY, event, fleet, problem, stream
from tests.polling import wait_until

EVENTS = "GET /v1/events"
SOON = timedelta(seconds=30)
BEGIN = b"retry: 2000\n\nid: 1-0\n\n"
RESET = b"event: reset\ndata: {}\n\n"
BATCH = (
    b'id: 3-0\ndata: {"id": "3-0", "kind": "batch", "type": "sealed", "batch": "01a202b8-2e5f-7533-81db-221400000000", '
    b'"n": 1, "rows": 1, "counts": {}, "at": "2026-11-28T20:00:00Z"}\n\n'
)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    monkeypatch.setattr("producer.over_http.event_stream._AGAIN_S", 0.01)
    monkeypatch.setattr("producer.over_http.event_reader._REFUSED_S", 0.01)


def taken(watch, count):
    """Return what a watch delivers, as soon as there are *count* events."""
    items = []

    def is_there():
        items.extend(watch.take(wait=timedelta(milliseconds=50)))
        return sum(item is not LAGGED for item in items) >= count

    wait_until(is_there, description="it is delivered")
    return [item if item is LAGGED else item.event.id for item in items]


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "events"]


async def resumed(request):
    """Send what comes after the last event that the client has had, one a connection."""
    after = int(request.headers.get("Last-Event-ID", "0-0").partition("-")[0])
    return await stream(event(after + 1))(request)


def test_a_stream_that_is_cut_gives_each_watcher_every_event_once():
    answers = [stream(BEGIN), None, problem(ProblemType.TOO_MANY_STREAMS, 0), resumed]
    with fleet(routes={EVENTS: answers}) as (producer, server), ExitStack() as stack:
        watches = [stack.enter_context(producer.watch(EVERYTHING)) for _ in range(3)]
        assert watches[0].since == "1-0"
        assert len(readers()) == 1
        assert taken(watches[0], 3)[:3] == ["2-0", "3-0", "4-0"]
        assert taken(watches[1], 3)[:3] == ["2-0", "3-0", "4-0"]
        late = stack.enter_context(producer.watch(ID))
        [next_, *_] = taken(late, 1)
        assert int(next_[:-2]) == int(late.since[:-2]) + 1
    assert server.asked[0] == EVENTS


@pytest.mark.parametrize(
    "trouble",
    [
        RESET,
        b'id: 2-0\ndata: {"id": "2-0", "job": "x"}\n\n',
        b"id: 2-0\ndata: torn\n\n",
        problem(ProblemType.UNAUTHORIZED),
    ],
    ids=["reset", "no event", "no json", "refused"],
)
def test_whoever_watches_is_told_that_events_may_lack(trouble):
    cut = stream(trouble) if isinstance(trouble, bytes) else trouble
    answers = [stream(BEGIN), cut, stream(event(4, kind="snapshot"), event(5))]
    with fleet(routes={EVENTS: answers}) as (producer, _), producer.watch(EVERYTHING) as watch:
        told = taken(watch, 1)
        assert told[0] is LAGGED
        assert set(told) == {LAGGED, "5-0"}


def test_what_only_a_newer_api_tells_and_signs_of_life_are_passed_over():
    newer = b'id: 2-0\ndata: {"id": "2-0", "kind": "gpu", "type": "hot"}\n\nevent: hint\ndata: 7\n\n:\n\n'
    with (
        fleet(routes={EVENTS: [stream(BEGIN, newer, BATCH, event(4))]}) as (producer, _),
        producer.watch_fleet(BATCHES, ID) as both,
        producer.watch(ID) as jobs,
    ):
        assert taken(both, 2)[:2] == ["3-0", "4-0"]
        assert taken(jobs, 1)[0] == "4-0"


def test_the_connection_ends_with_the_last_watcher_and_begins_with_the_next():
    with fleet(routes={EVENTS: [stream(BEGIN), resumed]}) as (producer, _):
        for _ in range(2):
            with producer.watch(EVERYTHING) as watch:
                taken(watch, 1)
            wait_until(lambda: not readers(), description="the thread ends")
        with producer.watch(EVERYTHING):
            producer.close()
            wait_until(lambda: not readers(), description="the thread ends")


def test_a_watch_of_an_api_that_is_away_begins_with_an_error():
    with fleet(routes={}) as (producer, server):
        url = server.url
    with pytest.raises(FleetUnreachable, match=url), producer.watch(EVERYTHING):
        pass
    assert readers() == []


def test_a_stream_that_ends_before_it_tells_anything_is_no_watch():
    with (
        fleet(routes={EVENTS: [stream(b"retry: 2000\n\n")]}) as (producer, _),
        pytest.raises(FleetUnreachable, match="before it had begun"),
        producer.watch(EVERYTHING),
    ):
        pass


def test_an_api_that_hangs_leaves_the_loop_s_own_threads_to_others():
    released = threading.Event()

    async def hang(request):
        while not released.is_set():  # noqa: ASYNC110 - it is set in another thread
            await asyncio.sleep(0.02)
        return await stream()(request)

    async def use(url):
        async with AsyncHttpProducer(url, KEY, timeout=SOON) as producer:
            calls = [asyncio.ensure_future(producer.get(ID)) for _ in range(40)]
            watch = asyncio.ensure_future(producer.watch(ID).__aenter__())
            await asyncio.sleep(0)
            others = [asyncio.to_thread(int, n) for n in range(40)]
            try:
                await asyncio.wait_for(asyncio.gather(*others), SOON.total_seconds())
                assert not any(call.done() for call in calls)
            finally:
                released.set()
                for task in (*calls, watch):
                    task.cancel()

    with fleet(routes={GET: [hang], EVENTS: [hang]}) as (_, server):
        asyncio.run(use(server.url))
