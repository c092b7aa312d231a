"""What one key does to a process of the HTTP API takes nothing from others."""

from __future__ import annotations

import asyncio
import gzip
import json
import secrets
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import requests

from infra.standin.loop_thread import close_connections
from producer.aio import AsyncProducer
from producer.http import gate, server
from tests.integration.api_server import GRAPH, Client, problem, running_api
from tests.polling import wait_until

WITH_INPUT = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
OF_OWNER = 8  # files that are fetched for one owner at once
STREAMS = 4


class SilentHost:
    """Takes connections, and says nothing on any of them."""

    def __init__(self):
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.place = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.taken = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        while True:
            try:
                self.taken.append(self._listening.accept()[0])
            except OSError:
                return

    def close(self):
        self._listening.close()
        for taken in self.taken:
            taken.close()


@pytest.fixture(scope="module")
def silent():
    with closing(SilentHost()) as host:
        yield host


@pytest.fixture(scope="module")
def bounded_url(redis_server, silent, tmp_path_factory):
    settings = {
        "redis_url": redis_server.url,
        "trusted_hosts": silent.place,
        "api_max_streams": STREAMS,
    }
    with running_api(settings, tmp_path_factory.mktemp("bounded") / "api.log") as url:
        yield url


@pytest.fixture
def bounded(bounded_url, led):
    def client(owner, *, scopes="submit,read", **bounds):
        name = f"{owner}-{secrets.token_hex(4)}"
        made = led.fleet.keys.create(name, owner=owner, scopes=scopes.split(","), **bounds)
        return Client(bounded_url, made.secret)

    return client


@contextmanager
def begun(client, method, path, *, length, media_type="application/json", sent=b""):
    """Send the head of a request, and the first bytes of its body."""
    host, _, port = client.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n"
            f"Content-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n".encode()
            + sent
        )
        yield connection


def test_hosts_that_answer_nothing_hold_up_nobody_else(bounded, bounded_url, silent):
    shop, press = bounded("shop"), bounded("press")
    asked = json.dumps(
        {
            "graph": WITH_INPUT,
            "inputs": {"1.image": {"url": f"http://{silent.place}/a.png"}},
        }
    ).encode()
    with ExitStack() as open_requests:
        for _ in range(OF_OWNER):
            sending = begun(shop, "POST", "/v1/jobs", length=len(asked), sent=asked)
            open_requests.enter_context(sending)
        wait_until(lambda: len(silent.taken) == OF_OWNER, description="all are being fetched")
        headers = {"Content-Type": "application/json"}
        told = problem(
            shop("POST", "/v1/jobs", data=asked, headers=headers), 429, "too-many-requests"
        )
        assert "fetched for this owner" in told["detail"]
        assert press.get("/v1/jobs").status_code == 200
        assert requests.get(f"{bounded_url}/readyz", timeout=5).status_code == 200
        with begun(press, "POST", "/v1/jobs", length=len(asked), sent=asked):
            wait_until(
                lambda: len(silent.taken) == OF_OWNER + 1, description="another owner's is, too"
            )
        for taken in silent.taken:
            taken.close()


def test_a_part_with_too_many_lines_takes_no_memory(bounded, bounded_url):
    shop = bounded("shop")
    batch = shop.post("/v1/batches", {"graph": GRAPH}).json()["id"]
    before = highest_memory(bounded_url.pid)
    for line in (b"ab\n", b"\n"):
        bomb = gzip.compress(line * ((16 << 20) // len(line)))
        headers = {"Content-Type": "application/jsonl", "Content-Encoding": "gzip"}
        answer = shop("POST", f"/v1/batches/{batch}/rows", data=bomb, headers=headers)
        told = problem(answer, 413, "too-large")
        assert "50,000 lines" in told["detail"]
    assert highest_memory(bounded_url.pid) - before < 30 << 20


def highest_memory(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/batches", "/v1/actions", "/v1/webhooks"])
def test_a_scope_is_looked_at_before_the_body_comes(bounded, path):
    reader = bounded("shop", scopes="read")
    with begun(reader, "POST", path, length=1 << 20) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 403")


def test_a_key_that_is_revoked_while_its_body_comes_hands_nothing_in(bounded, led):
    shop = bounded("shop")
    body = json.dumps({"graph": GRAPH}).encode()
    with begun(shop, "POST", "/v1/jobs", length=len(body), sent=body[:10]) as connection:
        wait_until(lambda: shop.get("/v1/jobs").ok, description="the key is good")
        for key in led.fleet.keys.list():
            led.fleet.keys.revoke(key.name)
        connection.settimeout(gate._KEY_HOLDS_S + 0.2)
        with pytest.raises(TimeoutError):
            connection.recv(100)
        connection.settimeout(10)
        connection.sendall(body[10:])
        assert connection.recv(100).startswith(b"HTTP/1.1 401")
    assert led.fleet.jobs().jobs == []


def test_a_part_of_many_small_lists_takes_no_memory(bounded, bounded_url):
    shop = bounded("shop")
    batch = shop.post("/v1/batches", {"graph": GRAPH}).json()
    row = b'{"3.color":[' + b"[]," * 100_000 + b"[]]}\n"
    before = highest_memory(bounded_url.pid)
    for rows, status in (
        (row * 150, 413),
        (b'{"3.color":[' + b"[]," * 3_000_000 + b"[]]}", 413),
        (row, 422),
    ):
        headers = {"Content-Type": "application/jsonl", "Content-Encoding": "gzip"}
        answer = shop("POST", batch["links"]["rows"], data=gzip.compress(rows, 1), headers=headers)
        assert answer.status_code == status, answer.text
    assert highest_memory(bounded_url.pid) - before < 300 << 20


def test_an_owner_has_a_share_of_the_streams(bounded):
    shop, press = bounded("shop"), bounded("press")
    with ExitStack() as streams:
        for _ in range(STREAMS // 2):
            stream = streams.enter_context(begun(shop, "GET", "/v1/events", length=0))
            assert stream.recv(100).startswith(b"HTTP/1.1 200")
        told = problem(shop.get("/v1/events"), 429, "too-many-requests")
        assert f"{STREAMS // 2} streams" in told["detail"]
        with begun(press, "GET", "/v1/events", length=0) as stream:
            assert stream.recv(100).startswith(b"HTTP/1.1 200")


def test_who_waits_for_a_job_counts_as_a_stream_or_is_answered_at_once(bounded):
    shop, press, waits = bounded("shop"), bounded("press"), {"Prefer": "wait=60"}
    with ExitStack() as open_, ThreadPoolExecutor() as threads:
        stream = open_.enter_context(begun(shop, "GET", "/v1/events", length=0))
        assert stream.recv(100).startswith(b"HTTP/1.1 200")
        keys = [{**waits, "Idempotency-Key": "a"}, {"Idempotency-Key": "a"}]
        waiting = threads.submit(shop.post, "/v1/jobs", {"graph": GRAPH}, headers=keys[0])
        boss = bounded("boss", scopes="operate")
        wait_until(
            lambda: "comfyfleet_sse_clients 2.0" in boss.get("/metrics").text,
            description="the wait counts",
        )
        answer = shop.post("/v1/jobs", {"graph": GRAPH}, headers=waits)
        assert (answer.status_code, answer.json()["status"]) == (201, "queued")
        assert "preference-applied" not in answer.headers
        assert not waiting.done()
        first = shop.post("/v1/jobs", {"graph": GRAPH}, headers=keys[1]).json()
        shop.post(f"{first['links']['self']}/cancel")
        assert waiting.result(20).headers["preference-applied"] == "wait=60"
        with begun(press, "GET", "/v1/events", length=0) as other:
            assert other.recv(100).startswith(b"HTTP/1.1 200")


def test_bodies_of_all_requests_have_bounded_room(led, monkeypatch):
    monkeypatch.setattr(gate, "IN_MEMORY", 4 * 1_000)
    shop = led.fleet.keys.create("shop", owner="shop", scopes=["read"]).secret
    press = led.fleet.keys.create("press", owner="press", scopes=["read"]).secret

    async def serve():
        is_full, may_end = asyncio.Event(), asyncio.Event()

        async def app(_, receive, send):
            await receive()
            is_full.set()
            await may_end.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async with AsyncProducer(led.settings) as fleet:
            guarded = gate.Gate(app, fleet, max_body=lambda _: 10_000)

            async def status(key, size):
                async def receive():
                    return {"type": "http.request", "body": b"x" * size, "more_body": False}

                async def send(message):
                    answers.append(message.get("status"))

                answers = []
                headers = [(b"authorization", f"Bearer {key}".encode())]
                scope = {"type": "http", "path": "/v1/jobs", "headers": headers}
                try:
                    await guarded(scope, receive, send)
                except gate.Problem as told:
                    return told.status_code
                return answers[0]

            first = asyncio.ensure_future(status(shop, 900))
            await is_full.wait()
            assert await status(shop, 200) == 429  # a quarter is an owner's
            others = asyncio.ensure_future(status(press, 900))
            may_end.set()
            assert (await first, await others, await status(shop, 900)) == (200, 200, 200)

    asyncio.run(serve())


def test_who_does_not_read_is_cut_off_on_every_route(monkeypatch):
    monkeypatch.setattr(server, "_UNREAD_S", 0.3)
    monkeypatch.setattr(server, "_LOOKED_EVERY_S", 0.05)

    async def serve():
        ends = asyncio.Event()

        class Watched(server.Connection):
            def connection_lost(self, exc):
                super().connection_lost(exc)
                ends.set()

        async def app(_, __, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x" * (32 << 20)})

        config = server.config_of(app, host="127.0.0.1", port=0, access_log=False)
        config.load()
        state = server.uvicorn.Server(config).server_state
        loop = asyncio.get_running_loop()
        served = await loop.create_server(lambda: Watched(config, state, {}), "127.0.0.1", 0)
        async with served:
            reader, writer = await asyncio.open_connection(*served.sockets[0].getsockname())
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            reader._transport.pause_reading()
            await asyncio.wait_for(ends.wait(), 10)
            writer.close()
        await close_connections()

    asyncio.run(serve())
