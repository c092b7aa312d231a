"""Requests to addresses that strangers name, over real sockets: who is asked, for how long, and for how much."""

from __future__ import annotations

import asyncio
import gzip
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from producer.contract.config.trusted_hosts import TrustedHosts
from producer.contract.errors import AddressRefused, HostFault
from producer.outbound.outbound import Outbound
from tests.integration.scripted_node import scripted_node

WITHIN_S = 5.0


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


def trusting(*urls: str) -> Outbound:
    return Outbound(TrustedHosts.parse(",".join(urlsplit(url).netloc for url in urls)))


def fetched(
    outbound: Outbound, url: str, *, most: int = 1_000, within_s: float = WITHIN_S
) -> bytes:
    into = io.BytesIO()
    outbound.fetch(url, into, most_bytes=most, within_s=within_s)
    return into.getvalue()


def says(body: bytes, **headers: str):
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Type": "image/png", **headers})

    return answer


def sends_to(place: str, status: int = 302):
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": place})

    return answer


@pytest.fixture
def inside() -> Iterator[str]:
    """A server that nobody may reach, and that nobody has reached in the end."""
    with scripted_node({"GET /secret": says(b"secret"), "POST /secret": says(b"secret")}) as server:
        yield f"{server.url}/secret"
        assert server.asked == []


def test_each_hop_is_checked(inside):
    hops = {
        "GET /plain": sends_to(inside),
        "GET /post": sends_to(inside, 307),
        "GET /number": sends_to(f"http://2130706433:{port_of(inside)}/secret"),
        "GET /mapped": sends_to(f"http://[::ffff:127.0.0.1]:{port_of(inside)}/secret"),
        "GET /slashes": sends_to(f"//127.0.0.1:{port_of(inside)}/secret"),
        "GET /metadata": sends_to("http://169.254.169.254/latest/"),
        "GET /file": sends_to("file:///etc/passwd"),
        "GET /user": sends_to("http://a:b@example.org/"),
        "GET /twice": sends_to("/plain"),
        "GET /good": sends_to("/picture"),
        "GET /picture": says(b"picture"),
        "GET /ring": sends_to("/ring"),
    }
    with scripted_node(hops) as server:
        outbound = trusting(server.url)
        for path in (
            "plain",
            "post",
            "number",
            "mapped",
            "slashes",
            "metadata",
            "file",
            "user",
            "twice",
        ):
            with pytest.raises(AddressRefused):
                fetched(outbound, f"{server.url}/{path}")
        assert fetched(outbound, f"{server.url}/good") == b"picture"
        with pytest.raises(HostFault, match="more than 5 redirects"):
            fetched(outbound, f"{server.url}/ring")


def test_a_message_follows_no_redirect(inside):
    with scripted_node({"POST /hook": sends_to(inside, 307)}) as server:
        reply = trusting(server.url).post(f"{server.url}/hook", b"{}", headers={}, within_s=5)
    assert reply.status == 307


def test_what_a_name_means_a_moment_later_makes_no_difference():
    with scripted_node({"GET /x": says(b"inside")}) as server:
        port, asked = port_of(server.url), []

        def resolve(host: str, _: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

        hosts = TrustedHosts.parse("127.0.0.2")
        outbound = Outbound(
            TrustedHosts(networks=hosts.networks, usual_ports=frozenset({port})), resolve=resolve
        )
        with pytest.raises(HostFault, match="accepts no connection"):  # nobody listens at the first
            fetched(outbound, f"http://rebinds.example:{port}/x")
        assert (asked, server.asked) == (["rebinds.example"], [])
        with pytest.raises(AddressRefused):
            fetched(outbound, f"http://rebinds.example:{port}/x")
        assert server.asked == []


def test_neither_proxies_nor_passwords_of_the_environment_count(inside, tmp_path, monkeypatch):
    place = f"http://127.0.0.1:{port_of(inside)}"
    for name in (
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.setenv(name, place)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with scripted_node({"GET /x": says(b"picture")}) as server:
        assert fetched(trusting(server.url), f"{server.url}/x") == b"picture"
        [headers] = server.headers
    assert "Authorization" not in headers
    assert headers["Host"] == urlsplit(server.url).netloc


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (says(b"<html>", **{"Content-Type": "text/html; charset=utf-8"}), "no file, but text/html"),
        (says(b"{}", **{"Content-Type": "application/json"}), "no file, but application/json"),
        (says(b"x" * 1_001), "has 1,001 bytes; the limit is 1,000"),
        (says(gzip.compress(b"x" * 500), **{"Content-Encoding": "gzip"}), "comes packed"),
        (sends_to("", 404), "answers with status 404"),
        (sends_to("", 304), "answers with status 304"),
    ],
)
def test_what_is_no_file_within_the_bounds_is_refused(answer, why):
    with (
        scripted_node({"GET /x": answer}) as server,
        pytest.raises(HostFault, match=f"{server.url}/x.*{why}"),
    ):
        fetched(trusting(server.url), f"{server.url}/x?token=hunter2")


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept connections, read the request, and let *talk* answer until the client goes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, suppress(OSError):
                    client.recv(65_536)
                    talk(client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def drips(head: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    def talk(client: socket.socket) -> None:
        client.sendall(head)
        while True:
            client.sendall(drop)
            time.sleep(0.02)

    return talk


OK = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
SLOW = {
    "a head without end": drips(b"HTTP/1.1 200 OK\r\nX: ", b"a"),
    "no end of interim answers": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body of known length": drips(OK + b"Content-Length: 900\r\n\r\n", b"a"),
    "a body that ends with the connection": drips(OK + b"\r\n", b"a"),
    "chunks": drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    "nothing": lambda client: client.recv(1),
}


@pytest.mark.parametrize("talk", SLOW.values(), ids=SLOW.keys())
def test_the_time_is_that_of_the_whole(talk):
    with raw_server(talk) as url:
        began = time.monotonic()
        with pytest.raises(HostFault, match=r"not done within 0\.3 s"):
            fetched(trusting(url), url, within_s=0.3)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (OK + b"Content-Length: 500\r\n\r\nshort", "broke off after 5 of 500 bytes"),
        (OK + b"\r\n" + b"x" * 1_001, "more than 1,000 bytes"),
        (OK + b"Content-Length: 99999999999999999999\r\n\r\n", "the limit is 1,000"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "does not answer as HTTP does"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not answer as HTTP does"),
        (b"", "does not answer as HTTP does"),
    ],
)
def test_an_answer_that_makes_no_sense_is_the_hosts_fault(said, why):
    with (
        raw_server(lambda client: client.sendall(said)) as url,
        pytest.raises(HostFault, match=why),
    ):
        fetched(trusting(url), url)


def test_over_tls_the_certificate_is_that_of_the_name(authority, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "host.pem", authority / "host.key")
    names = []
    context.sni_callback = lambda _, name, __: names.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))

    def talk(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as wrapped:
            wrapped.recv(1_000)
            wrapped.sendall(OK + b"Content-Length: 4\r\n\r\nsafe")

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        for _ in range(2):
            client, _ = listener.accept()
            with client, suppress(OSError):
                talk(client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener:
        hosts = TrustedHosts.parse("localhost, other.example")
        outbound = Outbound(hosts, resolve=lambda *_: ["127.0.0.1"])
        assert fetched(outbound, f"https://localhost:{port}/x") == b"safe"
        with pytest.raises(HostFault, match="has a certificate that does not count"):
            fetched(outbound, f"https://other.example:{port}/x")
        thread.join(10)
    assert names == ["localhost", "other.example"]


def test_a_name_server_that_hangs_is_not_waited_for():
    held = threading.Event()
    outbound = Outbound(TrustedHosts(), resolve=lambda *_: [str(held.wait(5))])
    with pytest.raises(HostFault, match="was not found in time"):
        fetched(outbound, "https://slow.example/", within_s=0.2)
    held.set()


def test_a_reply_is_read_in_its_first_bytes_only():
    async def answer(request: web.Request) -> web.StreamResponse:
        assert await request.read() == b'{"a": 1}'
        response = web.StreamResponse(status=503, headers={"Retry-After": "30"})
        await response.prepare(request)
        with suppress(ConnectionError):
            for _ in range(100):
                await response.write(b"busy\x1b[31m " * 100)
                await asyncio.sleep(0)
        return response

    with scripted_node({"POST /hook": answer}) as server:
        reply = trusting(server.url).post(
            f"{server.url}/hook", b'{"a": 1}', headers={"webhook-id": "1"}, within_s=5
        )
        assert server.headers[0]["webhook-id"] == "1"
    assert (reply.status, reply.retry_after) == (503, "30")
    assert reply.beginning.startswith("busy\\x1b[31m busy")
    assert len(reply.beginning) < 1_000
