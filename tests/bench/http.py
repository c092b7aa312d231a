"""The HTTP API against the least that a server could do: submissions, rows, a page of a list, and live status.

`--part NAME` measures one of them. Each part has servers as processes of their own, asked in turns by the same client:

- submits: single submissions over eight kept connections; floor: an empty handler of the same API, behind its gate.
  And that of a server without one.
- rows: JSON lines of a batch in parts of 5,000; floor: Python's own parser for the same lines.
- page: 50 of 100,000 jobs (a million with --full); floor: one ZRANGE and 50 HMGETs by the same machine.
- watchers: CPU of events to a thousand streams; floor: one buffer an event, written to as many bare sockets. And what
  an idle one takes.
- latency: from before a commit until a stream has it; floor: XADD, XREAD, one write.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import requests
from redis import Redis

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from producer.client import Producer
from producer.contract.access import Scope
from producer.store import keys
from tests.bench import http_streams, listing
from tests.bench.http_clients import EMPTY_HANDLER, Connection, empty_server, request
from tests.bench.results import Case, Result, measured
from tests.bench.rows import empty_redis, graph_of_20_kb, rows
from tests.bench.seeding import announce_node
from tests.integration.api_server import GRAPH, ApiUrl, running_api

CONNECTIONS, REQUESTS, TURNS = 8, 400, 7
#: Read in turns with the floor; the first ones load code and open connections.
PAGES, FIRST_PAGES = 300, 30
ROWS, PARTS = 5_000, 5
GOAL_SUBMITS, GOAL_PAGE_MS, GOAL_PAGE_RATIO, GOAL_ROWS = 0.4, 50, 3, 5_000


@dataclass(frozen=True)
class Stage:
    """One process of the API, its fleet, and a key that opens everything."""

    api: ApiUrl
    key: str
    fleet: Producer
    redis: Redis
    redis_url: str
    announce: Callable[[], None]  #: Lets a node live for some seconds more.


def run(*, full: bool = False, part: str | None = None) -> Result:
    """Measure one part or all of them."""
    count = 1_000_000 if full else 100_000
    parts: dict[str, Callable[[Stage], tuple[list[Case], dict[str, float]]]] = {
        "submits": _submits,
        "rows": _rows,
        "watchers": http_streams.watchers,
        "latency": http_streams.latency,
        "page": partial(_page, count=count),
    }
    assert part is None or part in parts, f"parts are {', '.join(parts)}"
    cases, figures = [], {}
    for name, measure in parts.items():
        if part in (None, name):
            with _stage() as stage:
                found, more = measure(stage)
            cases += found
            figures |= more
    return Result(name="http", unit="1/s", cases=cases, figures=figures)


@contextmanager
def _stage() -> Iterator[Stage]:
    with empty_redis() as (settings, _), TemporaryDirectory() as name, Producer(settings) as fleet:
        key = fleet.keys.create("bench", owner="shop", scopes=[Scope.ADMIN]).secret
        url = settings.redis_url
        with (
            running_api(
                {"redis_url": url}, Path(name) / "api.log", program=("-c", EMPTY_HANDLER)
            ) as api,
            Redis.from_url(url, decode_responses=True) as redis,
        ):
            with standin_thread(StandinOptions(directory=Path(name) / "node")) as node:
                classes = requests.get(f"{node.url}/object_info", timeout=10).json()
            announce = partial(announce_node, redis, classes)
            yield Stage(api, key, fleet, redis, url, announce)


def _submits(stage: Stage) -> tuple[list[Case], dict[str, float]]:
    values, floors, bare = [], [], []
    with empty_server() as empty:
        for turn in range(TURNS):
            stage.announce()  # where none lives, each submission looks for one
            values.append(_rate(stage.api, stage.key, turn))
            floors.append(_rate(stage.api, stage.key, turn, path="/v1/nothing"))
            bare.append(_rate(empty, stage.key, turn))
    case = measured(
        "single submissions",
        values,
        floors,
        goal=f">= {GOAL_SUBMITS} x an empty handler",
        holds=lambda value, floor: value >= GOAL_SUBMITS * floor,
    )
    return [case], {"submits_of_a_bare_server": median(bare)}


def _rows(stage: Stage) -> tuple[list[Case], dict[str, float]]:
    connection = Connection(stage.api)
    body = json.dumps({"graph": graph_of_20_kb(), "name": "night"}).encode()
    batch = json.loads(connection.ask(request("POST", "/v1/batches", stage.key, body)))
    values, floors = [], []
    for number in range(PARTS):
        lines = [json.dumps(row).encode() for row in rows(ROWS, first=number * ROWS)]
        part = request(
            "POST", f"/v1/batches/{batch['id']}/rows", stage.key, b"\n".join(lines), "jsonl"
        )
        values.append(ROWS / _s(partial(connection.ask, part)))
        floors.append(ROWS / _s(lambda lines=lines: [json.loads(line) for line in lines]))
    connection.close()
    case = measured(
        "rows as JSON lines",
        values,
        floors,
        goal=f">= {GOAL_ROWS:,} /s",
        holds=lambda value, _: value >= GOAL_ROWS,
    )
    return [case], {}


def _page(stage: Stage, *, count: int) -> tuple[list[Case], dict[str, float]]:
    listing.seed_single_jobs(stage.fleet, stage.redis, count=count)
    connection = Connection(stage.api)
    page = request("GET", "/v1/jobs?limit=50&filter=owner:shop", stage.key)
    values, floors = [], []
    for _ in range(PAGES):
        values.append(1_000 * _s(partial(connection.ask, page)))
        floors.append(1_000 * _s(partial(listing.read_floor, stage.redis, keys.jobs("shop"))))
    connection.close()
    values, floors = values[FIRST_PAGES:], floors[FIRST_PAGES:]
    case = measured(
        f"a page of {count:,} jobs",
        values,
        floors,
        goal=f"<= {GOAL_PAGE_RATIO} x floor, and {GOAL_PAGE_MS} ms",
        holds=lambda value, floor: value <= min(GOAL_PAGE_MS, GOAL_PAGE_RATIO * floor),
        unit="ms",
    )
    return [case], {}


def _s(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _rate(url: str, key: str, turn: int, *, path: str = "/v1/jobs") -> float:
    """Return requests a second over all connections; no two jobs are alike."""
    each = REQUESTS // CONNECTIONS

    async def ask_all() -> None:
        await asyncio.gather(
            *(_ask(url, _bodies(key, turn, number, each, path)) for number in range(CONNECTIONS))
        )

    began = time.perf_counter()
    asyncio.run(ask_all())
    return each * CONNECTIONS / (time.perf_counter() - began)


def _bodies(key: str, turn: int, connection: int, count: int, path: str) -> list[bytes]:
    colours = range((turn * CONNECTIONS + connection) * count, 1 << 24)
    return [
        request("POST", path, key, json.dumps({"graph": _graph(colour)}).encode())
        for colour, _ in zip(colours, range(count), strict=False)
    ]


def _graph(colour: int) -> dict:
    image = {**GRAPH["3"], "inputs": {**GRAPH["3"]["inputs"], "color": colour}}
    return {**GRAPH, "3": image}


async def _ask(url: str, requests: list[bytes]) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for raw in requests:
        writer.write(raw)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert b" 20" in head[:15], head
        size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(size)
    writer.close()
