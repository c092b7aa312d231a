"""Heads of requests over HTTP as attackers write them: without an end, a byte at a time, or behind the body."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest

from infra.standin.loop_thread import close_connections
from producer.http import server
from tests.integration.api_server import GRAPH

JOB = json.dumps({"graph": GRAPH}).encode()
HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"


def sent(url, *parts, most=4 << 20):
    """Send parts until the server closes; return how many bytes it took, and its answer."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connected:
        count, answer = 0, b""
        try:
            for part in parts:
                connected.sendall(part)
                count += len(part)
            while count < most:
                connected.sendall(parts[-1])
                count += len(parts[-1])
        except OSError:
            pass
        try:
            while piece := connected.recv(65_536):
                answer += piece
        except OSError:
            pass
        return count, answer


LINES = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 100) for number in range(200))


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD, LINES),
        (HEAD + b"X: ", b"a" * 20_000),
        (HEAD + b"\r\n" + HEAD, LINES),
        (CHUNKED + b"\r\n0\r\n", LINES),
        (CHUNKED + b"\r\n0\r\nX: ", b"a" * 20_000),
        (CHUNKED + b"\r\n2;x=", b"a" * 20_000),
    ],
    ids=["many", "long", "the second", "trailers", "a long trailer", "a chunk's extension"],
)
def test_headers_without_an_end_are_not_kept(api_url, parts):
    count, _ = sent(api_url, *parts, most=64 << 20)
    assert count < 16 << 20  # what two sockets hold


def test_a_head_of_some_length_is_read(api):
    answer = api().get("/v1/jobs", headers={"X": "a" * 60_000})
    assert answer.status_code == 200


def test_a_trailer_is_no_header(api, api_url):
    body = b"%x\r\n%s\r\n0\r\n" % (len(JOB), JOB)
    named = b"Authorization: Bearer %s\r\n" % api().key.encode()
    for head, trailer, status in ((b"", named, b"401"), (named, b"Idempotency-Key: a\r\n", b"201")):
        _, answer = sent(
            api_url,
            CHUNKED + b"Connection: close\r\n" + head + b"\r\n" + body + trailer + b"\r\n",
            most=0,
        )
        assert answer.split()[1] == status
        assert b'"idempotency_key"' not in answer


def test_who_has_no_key_is_not_waited_for(api_url):
    """Else a body without an end would hold its connection for ever."""
    for length in (b"Content-Length: 1000000\r\n", b"Transfer-Encoding: chunked\r\n"):
        began = time.monotonic()
        _, answer = sent(
            api_url, b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n", most=0
        )
        assert (answer.split()[1], time.monotonic() - began < 10) == (b"401", True)


@asynccontextmanager
async def connection(app):
    """Serve an app in this process; yield a reader and a writer of a connection to it."""
    config = server.config_of(app, host="127.0.0.1", port=0, access_log=False)
    config.load()
    state = server.uvicorn.Server(config).server_state
    loop = asyncio.get_running_loop()
    served = await loop.create_server(lambda: server.Connection(config, state, {}), "127.0.0.1", 0)
    async with served:
        reader, writer = await asyncio.open_connection(*served.sockets[0].getsockname())
        yield reader, writer
        writer.close()
    await close_connections()


@pytest.mark.parametrize(
    ("begin", "more"),
    [(HEAD, b"X: y\r\n"), (HEAD + b"Content-Length: 9000\r\n\r\n", b"y")],
    ids=["a second head", "a body that nobody reads"],
)
def test_what_dribbles_is_cut_off_as_a_first_head_is(monkeypatch, begin, more):
    monkeypatch.setattr(server, "_HEAD_WITHIN_S", 0.5)

    async def app(_, __, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def serve():
        async with connection(app) as (reader, writer):
            writer.write(HEAD + b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
            began = time.monotonic()
            writer.write(begin)
            if begin != HEAD:
                await reader.readuntil(b"\r\n\r\n")
            while time.monotonic() - began < 10 and not (reader.at_eof() or reader.exception()):
                writer.write(more)
                with suppress(TimeoutError, ConnectionError):
                    await asyncio.wait_for(reader.read(1), 0.1)
            assert time.monotonic() - began < 5

    asyncio.run(serve())
