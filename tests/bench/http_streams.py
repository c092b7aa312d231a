"""Live status over HTTP: what a thousand streams cost, and how soon one hears of a commit."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from redis import Redis

from producer.client import Producer
from producer.contract.ids import JobId, PromptId, new_job_id
from producer.store import keys, limits
from producer.store.attempts import Hold
from tests.bench.fanout_clients import _event
from tests.bench.http_clients import Watchers, bare_watchers, cpu_s, request, rss_kb
from tests.bench.results import Case, measured
from tests.integration.api_server import GRAPH, ApiUrl

WATCHERS, EVENTS, ROUNDS, COMMITS = 1_000, 20, 4, 150
GOAL_CPU, GOAL_LATENCY = 3, 3
_EVERY_S = 0.05
#: Bytes of an event as it is sent.
_FRAME = 420


class Stage(Protocol):
    """What `http.Stage` has."""

    api: ApiUrl
    key: str
    fleet: Producer
    redis: Redis
    redis_url: str


def watchers(stage: Stage) -> tuple[list[Case], dict[str, float]]:
    """Measure the CPU of the server's process, an event, and what an idle stream takes."""
    opening = request("GET", "/v1/events", stage.key)
    before = rss_kb(stage.api.pid)
    streams = Watchers(stage.api, WATCHERS, opening)
    grown = rss_kb(stage.api.pid) - before
    values, floors = [], []
    with bare_watchers(stage.redis_url, size=_FRAME, count=WATCHERS) as (bare, pid):
        for _ in range(ROUNDS):
            both = (stage.api.pid, pid)
            began = [cpu_s(one) for one in both]
            _publish(stage.redis, streams, bare)
            value, floor = (1_000 * (cpu_s(one) - at) for one, at in zip(both, began, strict=True))
            values.append(value / EVENTS)
            floors.append(floor / EVENTS)
    streams.close()
    case = measured(
        f"CPU of an event to {WATCHERS:,} streams",
        values,
        floors,
        goal=f"<= {GOAL_CPU} x bare sockets",
        holds=lambda value, floor: value <= GOAL_CPU * floor,
        unit="ms",
    )
    return [case], {"watchers": WATCHERS, "watcher_kb": grown / WATCHERS}


def _publish(redis: Redis, streams: Watchers, bare: Watchers) -> None:
    """Tell of what happens to jobs of an owner, one after another, to both at the same time."""
    begin = time.monotonic()
    for number in range(EVENTS):
        while (left := begin + number * _EVERY_S - time.monotonic()) > 0:
            time.sleep(left)  # the rate at which they come
        event = {**_event(new_job_id(), number), "owner": "shop"}
        redis.xadd(keys.EVENTS, event, maxlen=limits.EVENTS_KEPT, approximate=True)
        bare.hear(b"\n\n", times=1)
        streams.hear(b"data:", times=1)


def latency(stage: Stage) -> tuple[list[Case], dict[str, float]]:
    """Measure from before a commit until a stream has it, in turns with the least way of an event."""
    stream = Watchers(stage.api, 1, request("GET", "/v1/events", stage.key))
    values, floors = [], []
    with bare_watchers(stage.redis_url, size=_FRAME, count=1) as (bare, _):
        for _ in range(COMMITS):
            hold = _claimed(stage.fleet)
            stream.hear(b'"type":"claimed"', times=1)
            bare.hear(b"\n\n", times=2)
            values.append(_ms(lambda hold=hold: _commit(stage.fleet, hold), stream, b"succeeded"))
            bare.hear(b"\n\n", times=1)
            floors.append(_ms(lambda: _add(stage.redis), bare, b"\n\n"))
            stream.hear(b"data:", times=1)
    stream.close()
    case = measured(
        "from before a commit until a stream has it, p50",
        values,
        floors,
        goal=f"<= {GOAL_LATENCY} x XADD, XREAD, one write",
        holds=lambda value, floor: value <= GOAL_LATENCY * floor,
        unit="ms",
    )
    return [case], {}


def _ms(act: Callable[[], object], watcher: Watchers, mark: bytes) -> float:
    began = time.perf_counter()
    act()
    watcher.hear(mark, times=1)
    return 1_000 * (time.perf_counter() - began)


def _claimed(fleet: Producer) -> Hold:
    job = fleet.submit(GRAPH, owner="shop")
    hold = Hold(JobId(job.id), 1, "gpu-01:bench")
    assert fleet._jobs.claim(
        hold.job_id,
        attempt=1,
        node="gpu-01",
        worker=hold.worker,
        lease=timedelta(minutes=1),
        prompt_id=PromptId("0" * 32),
    )
    return hold


def _commit(fleet: Producer, hold: Hold) -> None:
    fleet._jobs.commit(hold, artifacts=[], values={})


def _add(redis: Redis) -> None:
    event = {**_event(new_job_id(), 1), "owner": "shop"}
    redis.xadd(keys.EVENTS, event, maxlen=limits.EVENTS_KEPT, approximate=True)
