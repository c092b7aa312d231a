"""The HTTP API: single submissions against an empty handler of the same server, a page of a list, and idle watchers.

Both servers are processes of their own with the same uvicorn and the same settings of it, asked in turns by the same
client over eight kept connections. A page is read of 100,000 jobs (a million with --full: the list itself is measured by
`listing`); its floor is one ZRANGE and 50 HMGETs, as there. A thousand watchers follow a job each, and nothing happens.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis

from infra.local.ports import choose_ports
from producer.client import Producer
from producer.contract.access import Scope
from producer.store import keys
from tests.bench import listing
from tests.bench.results import Case, Result, median
from tests.bench.rows import empty_redis
from tests.integration.api_server import GRAPH, is_live, running_api
from tests.polling import wait_until

CONNECTIONS, REQUESTS, TURNS, PAGES, WATCHERS = 8, 100, 7, 60, 1_000
GOAL_SUBMITS, GOAL_PAGE_MS, GOAL_PAGE_RATIO = 0.4, 50, 3

#: The same server with one handler that does nothing; its last argument is the port.
_EMPTY = """
import sys
from fastapi import FastAPI, Response
from producer.http.server import Server, config_of
from producer.http.streams import Streams
app = FastAPI(openapi_url=None)
@app.get("/livez")
@app.post("/v1/jobs")
async def nothing() -> Response:
    return Response(b"{}", 201)
Server(config_of(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False), Streams(most=0)).run()
"""


def run(*, full: bool = False) -> Result:
    """Measure all three."""
    with empty_redis() as (settings, _), TemporaryDirectory() as name, Producer(settings) as fleet:
        key = fleet.keys.create("bench", owner="shop", scopes=[Scope.ADMIN]).secret
        log = Path(name) / "api.log"
        with (
            running_api({"redis_url": settings.redis_url}, log) as api,
            _empty_server() as empty,
            Redis.from_url(settings.redis_url, decode_responses=True) as redis,
        ):
            submits = _submits(api, empty, key)
            grown, watchers = _watched(api, api.pid, key, fleet)
            listing.seed_single_jobs(fleet, redis, count=1_000_000 if full else 100_000)
            page = _page(api, key, redis)
    figures = {"watchers": watchers, "watcher_kb": grown / watchers}
    return Result(name="http", unit="1/s", cases=[submits, page], figures=figures)


def _submits(api: str, empty: str, key: str) -> Case:
    body = json.dumps({"graph": GRAPH}).encode()
    values, floors = [], []
    for _ in range(TURNS):
        values.append(_rate(api, key, body))
        floors.append(_rate(empty, key, body))
    value, floor = median(values), median(floors)
    return Case(
        name="single submissions",
        value=value,
        floor=floor,
        plain=None,
        goal=f">= {GOAL_SUBMITS} x an empty handler",
        holds=value >= GOAL_SUBMITS * floor,
    )


def _page(api: str, key: str, redis: Redis) -> Case:
    values, floors = [], []
    request = _request("GET", "/v1/jobs?limit=50&filter=owner:shop", key)
    for _ in range(PAGES):
        began = time.perf_counter()
        asyncio.run(_ask(api, request, times=1))
        values.append(1_000 * (time.perf_counter() - began))
        began = time.perf_counter()
        listing.read_floor(redis, keys.jobs("shop"))
        floors.append(1_000 * (time.perf_counter() - began))
    value, floor = median(values), median(floors)
    return Case(
        name="a page of a list",
        value=value,
        floor=floor,
        plain=None,
        goal=f"<= {GOAL_PAGE_RATIO} x floor, and {GOAL_PAGE_MS} ms",
        holds=value <= min(GOAL_PAGE_MS, GOAL_PAGE_RATIO * floor),
        unit="ms",
    )


def _watched(api: str, pid: int, key: str, fleet: Producer) -> tuple[float, int]:
    """Return by how many kB the process has grown with its watchers, and how many these were."""

    async def watch() -> float:
        ids = [fleet.submit(GRAPH, owner="shop").id for _ in range(100)]
        host, _, port = api.removeprefix("http://").partition(":")
        before, open_ = _rss_kb(pid), []
        for number in range(WATCHERS):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(_request("GET", f"/v1/jobs/{ids[number % 100]}/events", key))
            open_.append((reader, writer))
        for reader, _ in open_:
            while b"snapshot" not in await reader.readline():
                pass
        grown = _rss_kb(pid) - before
        for _, writer in open_:
            writer.close()
        return grown

    return asyncio.run(watch()), WATCHERS


def _rate(url: str, key: str, body: bytes) -> float:
    """Return requests a second over all connections."""

    async def ask_all() -> None:
        request = _request("POST", "/v1/jobs", key, body)
        each = REQUESTS // CONNECTIONS
        await asyncio.gather(*(_ask(url, request, times=each) for _ in range(CONNECTIONS)))

    began = time.perf_counter()
    asyncio.run(ask_all())
    return REQUESTS // CONNECTIONS * CONNECTIONS / (time.perf_counter() - began)


async def _ask(url: str, request: bytes, *, times: int) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(times):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert b" 20" in head[:15], head
        size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(size)
    writer.close()


def _request(method: str, path: str, key: str, body: bytes = b"") -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _rss_kb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return float(status.partition("VmRSS:")[2].split()[0])


@contextmanager
def _empty_server() -> Iterator[str]:
    port = choose_ports(["empty"], {})["empty"]
    command = [sys.executable, "-c", _EMPTY, str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: is_live(process, url), description="the empty server serves")
            yield url
        finally:
            process.terminate()
            process.wait(20)
