"""A node behind a proxy: what is shown to it, what its answers mean, and what is never shown."""

from __future__ import annotations

import asyncio
import logging
import traceback
from pathlib import Path

import pytest
from aiohttp import web

from producer.contract.config.node_address import NodeAddress
from producer.contract.config.node_credentials import NodeCredentials
from producer.contract.jobs import InputFile
from tests.integration.scripted_node import raw, scripted_client, scripted_node
from tests.integration.tls_proxy import tls_context, tls_proxy
from tests.polling import wait_until
from worker.attempt.input_files import InputFiles
from worker.comfyui.client import ComfyUI
from worker.comfyui.events import EventSocket
from worker.errors import NodeError, NodeFault, NodeTimeout, NodeUnreachable, RequestTooLarge

SECRETS = NodeCredentials.read("Authorization: Bearer sesame-1\n?token=sesame-2", where="X")


def page(text: str, *, status: int = 200, **headers: str):
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status, content_type="text/html", headers=headers)

    return handle


async def ws(request: web.Request) -> web.StreamResponse:
    line = web.WebSocketResponse()
    await line.prepare(request)
    await line.send_json({"type": "status", "data": {}})
    await asyncio.sleep(60)
    return line


def test_headers_and_tokens_go_with_every_request_and_the_websocket():
    asked = []

    async def stats(request: web.Request) -> web.StreamResponse:
        asked.append(dict(request.query))
        return web.json_response({})

    async def heard(request: web.Request) -> web.StreamResponse:
        asked.append({"token": request.query["token"]})
        return await ws(request)

    routes = {"GET /ws": heard, "GET /system_stats": stats, "HEAD /view": stats}
    with scripted_node(routes) as node:
        address = NodeAddress.parse(node.url, SECRETS)
        with EventSocket(address, node="x") as events, ComfyUI(address, node="x") as client:
            wait_until(lambda: events.connected, description="it is connected")
            client.system_stats()
            client.has_input("a b", "c", size_bytes=1)
    assert {query["token"] for query in asked} == {"sesame-2"}
    assert any(query.get("filename") == "a b" for query in asked)
    assert {headers["Authorization"] for headers in node.headers} == {"Bearer sesame-1"}


def test_they_go_over_tls_which_is_judged_for_requests_and_the_websocket_alike(
    authority, monkeypatch
):
    shown = []

    async def heard(request: web.Request) -> web.StreamResponse:
        shown.append((request.path, request.headers["Authorization"], request.query["token"]))
        return await ws(request) if request.path == "/ws" else web.json_response({})

    routes = {"GET /ws": heard, "GET /system_stats": heard}
    with scripted_node(routes) as node:
        to = node.url.removeprefix("http://").split(":")
        with tls_proxy(tls_context(authority), to=(to[0], int(to[1]))) as port:
            address = NodeAddress.parse(f"https://localhost:{port}", SECRETS)
            with (
                EventSocket(address, node="x") as events,
                ComfyUI(address, node="x") as client,
                pytest.raises(NodeUnreachable, match="certificate"),
            ):
                client.system_stats()
            assert not events.connected
            monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
            with EventSocket(address, node="x") as events, ComfyUI(address, node="x") as client:
                client.system_stats()
                wait_until(lambda: events.connected, description="it is connected")
    assert set(shown) == {
        ("/system_stats", "Bearer sesame-1", "sesame-2"),
        ("/ws", "Bearer sesame-1", "sesame-2"),
    }


@pytest.mark.parametrize(
    ("route", "kind", "said"),
    [
        (page("", status=502), NodeUnreachable, "a proxy answers 502"),
        (page("", status=503), NodeUnreachable, "a proxy answers 503"),
        (page("", status=504), NodeTimeout, "longer to answer than it waits"),
        (page("", status=524), NodeTimeout, "longer to answer than it waits"),
        (page("", status=429), NodeUnreachable, "no more requests at present"),
        (page("<html>Log in</html>"), NodeUnreachable, "brought a web page.*NODE_HEADERS_FILE"),
        (page("", status=302, Location="https://login.lan/?to=sesame-1"), NodeUnreachable,
         r"a proxy answers 302: it leads to login\.lan, as before a login.*NODE_HEADERS_FILE"),
        (page("", status=401), NodeUnreachable, "who we are.*NODE_HEADERS_FILE"),
        (page("Not you, sesame-1", status=403), NodeFault, r"403 Not you, \*\*\*.*HEADERS_FILE"),
    ],
)  # fmt: skip
def test_an_answer_in_the_nodes_stead_is_told_as_that(route, kind, said):
    with scripted_node({"GET /system_stats": route}) as node:
        address = NodeAddress.parse(node.url, SECRETS)
        with ComfyUI(address, node="gpu-1") as client, pytest.raises(kind, match=said) as exc:
            client.system_stats()
    assert "sesame" not in "".join(traceback.format_exception(exc.value))


@pytest.mark.parametrize("route", [None, raw(), raw(b"nonsense\r\n\r\n"), raw(then="hang")])
def test_no_token_is_in_an_error_or_a_log(route, caplog):
    caplog.set_level(logging.DEBUG, "worker")
    with scripted_node({"GET /system_stats": route} if route else {}) as node:
        url = node.url if route else "http://127.0.0.1:1"
        address = NodeAddress.parse(url.replace("//", "//me:sesame-3@"), _token())
        with (
            ComfyUI(address, node="gpu-1", read_s=0.2) as client,
            EventSocket(address, node="gpu-1"),
        ):
            wait_until(lambda: "no events" in caplog.text, description="the socket is refused")
            with pytest.raises(NodeError) as exc:
                client.system_stats()
    assert "sesame" not in "".join(traceback.format_exception(exc.value))
    assert "sesame" not in caplog.text


def _token() -> NodeCredentials:
    return NodeCredentials.read("?token=sesame-2", where="X")


@pytest.mark.parametrize(
    "route",
    [
        page("", status=405),
        page("", status=501),
        page("", status=403),
        page("", status=500),
        page("", status=502),
        page("", status=302, Location="/login"),
        raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        raw(then="reset"),
    ],
)
def test_whatever_is_no_clear_yes_to_head_means_that_a_file_is_sent(route):
    with scripted_client({"HEAD /view": route}) as (client, _):
        assert client.has_input("x", "", size_bytes=1) is False


class Objects:
    """A bucket in which every key holds three bytes."""

    def fetch(self, source: str, path: Path, *, sha256: str | None) -> Objects:
        del source
        path.write_bytes(b"abc")
        self.sha256 = sha256
        return self


def test_a_file_that_is_too_large_is_named_as_its_owner_knows_it(tmp_path):
    file = InputFile(source="k", name="me.png", sha256="0" * 64, bytes=3)
    routes = {"HEAD /view": page("", status=405), "POST /upload/image": page("", status=413)}
    with scripted_client(routes) as (client, _), pytest.raises(RequestTooLarge) as exc:
        InputFiles(Objects(), client).transfer({"12.image": file}, tmp_path)
    assert exc.value.graph_node == "12"
    assert "me.png (3 bytes) for 12.image is larger than it takes, or than a proxy" in str(
        exc.value
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("status", "kind"), [(504, NodeTimeout), (413, RequestTooLarge)])
def test_a_prompt_that_a_proxy_answers_is_told_as_that(status, kind):
    with (
        scripted_client({"POST /prompt": page("", status=status)}) as (client, _),
        pytest.raises(kind),
    ):
        client.queue_prompt({}, prompt_id="p", client_id="c")


def test_what_a_node_has_may_take_longer_to_say_than_anything_else():
    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.5)
        return web.json_response({})

    routes = {"GET /object_info": slow, "GET /system_stats": slow}
    with scripted_client(routes, read_s=0.1, info_s=5) as (client, _):
        assert client.object_info() == {}
        with pytest.raises(NodeTimeout):
            client.system_stats()
