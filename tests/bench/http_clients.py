"""Clients of the HTTP API for benchmarks, and servers that do as little as a server can."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.local.ports import choose_ports
from tests.integration.api_server import is_live
from tests.polling import wait_until

PATIENCE_S = 60

#: The API itself, with a handler that does nothing.
EMPTY_HANDLER = """
from fastapi import Response
from producer.http import __main__ as api
made = api.create_app
def with_nothing(fleet, settings):
    app = made(fleet, settings)
    @app.post("/v1/nothing", tags=["bench"])
    async def nothing() -> Response:
        return Response(b"{}", 201)
    return app
api.create_app = with_nothing
api.main()
"""

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

#: Reads the event stream, and writes one frame of so many bytes an event to each socket. Arguments: the port, the
#: address of Redis, the bytes, the sockets.
_BARE = """
import socket, sys
from redis import Redis
port, url, size, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
server = socket.create_server(("127.0.0.1", port), backlog=count)
print("ready", flush=True)
sockets = [server.accept()[0] for _ in range(count)]
frame = b"x" * (size - 2) + b"\\n\\n"
with Redis.from_url(url, decode_responses=True, protocol=2) as redis:
    last = redis.xrevrange("comfyfleet:events", count=1)
    at = last[0][0] if last else "0-0"
    print("reads", flush=True)
    while True:
        for _, entries in redis.xread({"comfyfleet:events": at}, block=5000) or ():
            for at, _ in entries:
                for one in sockets:
                    one.sendall(frame)
"""


def request(method: str, path: str, key: str, body: bytes = b"", kind: str = "json") -> bytes:
    """Return a request as it goes over the wire."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Connection:
    """One kept connection."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        self._file = self._socket.makefile("rb")

    def ask(self, raw: bytes) -> bytes:
        """Send one request, and return the body of its answer, which must be a good one."""
        self._socket.sendall(raw)
        size, status = 0, self._file.readline()
        assert b" 20" in status, status + self._file.read1()
        while (line := self._file.readline().lower()) != b"\r\n":
            if line.startswith(b"content-length:"):
                size = int(line.partition(b":")[2])
        return self._file.read(size)

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self._socket.close()


class Watchers:
    """Many sockets to which a server writes; what comes is counted and dropped."""

    def __init__(self, url: str, count: int, opening: bytes = b"") -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._selector = selectors.DefaultSelector()
        for _ in range(count):
            connection = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
            if opening:
                connection.sendall(opening)
                data = b""
                while b"snapshot" not in data:
                    data += connection.recv(1 << 16)
            connection.settimeout(0)
            self._selector.register(connection, selectors.EVENT_READ)
        self.count = count

    def hear(self, mark: bytes, *, times: int) -> None:
        """Read until *mark* has come so often at each."""
        left = times * self.count
        deadline = time.monotonic() + PATIENCE_S
        while left > 0:
            assert time.monotonic() < deadline, f"{left} did not come"
            for key, _ in self._selector.select(0.5):
                with suppress(BlockingIOError):
                    left -= key.fileobj.recv(1 << 20).count(mark)

    def close(self) -> None:
        """Close all."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_kb(pid: int) -> float:
    """Return how much memory a process has, kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return float(status.partition("VmRSS:")[2].split()[0])


@contextmanager
def empty_server() -> Iterator[str]:
    """Yield the address of the server whose handler does nothing."""
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


@contextmanager
def bare_watchers(redis_url: str, *, size: int, count: int) -> Iterator[tuple[Watchers, int]]:
    """Yield sockets to which the least of servers writes each event, and its process id."""
    port = choose_ports(["bare"], {})["bare"]
    command = [sys.executable, "-c", _BARE, str(port), redis_url, str(size), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            process.stdout.readline()
            watchers = Watchers(f"http://127.0.0.1:{port}", count)
            process.stdout.readline()
            yield watchers, process.pid
            watchers.close()
        finally:
            process.terminate()
            process.wait(20)
