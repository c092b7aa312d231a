"""What a node says is read within bounds of bytes and time, and holds no more memory than that."""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc
from contextlib import contextmanager

import pytest
from aiohttp import WSMsgType, web

from tests.integration.scripted_node import answer, raw, scripted_client, scripted_node
from tests.polling import wait_until
from worker import foreign_data, open_connections
from worker.comfyui import bounded_websocket
from worker.comfyui.events import EventSocket
from worker.comfyui.history import OutputFile
from worker.errors import NodeError, NodeFault, NodeTimeout

MIB = 1 << 20


@contextmanager
def within(mib):
    """Fail if the block holds more than so much at a time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mib * MIB
    finally:
        tracemalloc.stop()


def zipped(body: bytes):
    packed = gzip.compress(body)

    async def handle(_request):
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    return handle


async def drip(request):
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.02)


def test_an_answer_that_unpacks_to_more_than_may_come_is_a_fault_and_is_not_held():
    bomb = zipped(b" " * 200 * MIB)
    with (
        scripted_client({"GET /prompt": bomb}) as (client, _),
        within(60),
        pytest.raises(NodeFault, match="answered with more than 16,777,216 bytes"),
    ):
        client.queue_remaining()


def test_an_answer_that_drips_is_given_up(monkeypatch):
    monkeypatch.setattr("worker.comfyui.connection.WHOLE_S", 0.3)
    with scripted_client({"GET /prompt": drip}) as (client, _):
        began = time.monotonic()
        with pytest.raises(NodeFault, match=r"bytes in 0\.3 s, and more to come"):
            client.queue_remaining()
        assert time.monotonic() - began < 5


def test_a_connection_is_kept_whatever_the_length_of_its_answers():
    async def chunked(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"queue_running": [],')
        await response.write(b'"queue_pending": []}')
        await response.write_eof()
        return response

    routes = {
        "GET /prompt": answer({"exec_info": {"queue_remaining": 0}}),
        "GET /queue": chunked,
        "GET /object_info": zipped(b'{"SaveImage": {}}'),
        "POST /free": answer({}),
    }
    with scripted_client(routes) as (client, node):
        for _ in range(3):
            client.queue_remaining()
            client.is_busy()
            client.object_info()
            client.free_memory()
        assert len(node.ports) == 1


@pytest.mark.parametrize("frames", [1, 8], ids=["in one frame", "in many"])
def test_a_message_of_any_length_ends_the_connection_and_is_not_held(frames, monkeypatch):
    monkeypatch.setattr(bounded_websocket, "LONGEST_MESSAGE", MIB)
    opened = []

    async def flood(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        opened.append(socket)
        await socket.send_json({"type": "status", "data": {}})
        for number in range(frames):
            part = b" " * (4 * MIB // frames)
            code = WSMsgType.TEXT if number == 0 else WSMsgType.CONTINUATION
            await socket._writer._send_frame(part, code) if frames == 1 else None
            if frames > 1:
                head = bytes([code | (0x80 if number == frames - 1 else 0), 127])
                request.transport.write(head + len(part).to_bytes(8, "big") + part)
        await asyncio.sleep(5)
        return socket

    with (
        scripted_node({"GET /ws": flood}) as node,
        EventSocket(node.url, node="gpu-1") as events,
        events.watch("p"),
    ):
        wait_until(lambda: len(opened) > 1, description="it has connected anew")


@pytest.mark.parametrize(
    "line", [b"X: " + b"a" * MIB, b"X: a\r\n" * (MIB // 6)], ids=["long", "many"]
)
def test_a_handshake_of_any_length_is_given_up(line):
    with (
        scripted_node(
            {"GET /ws": raw(b"HTTP/1.1 101 Switching Protocols\r\n", line, then="hang")}
        ) as node,
        within(20),
        EventSocket(node.url, node="gpu-1"),
    ):
        wait_until(lambda: len(node.ports) > 1, description="it has connected anew")


def test_a_handshake_that_drips_is_given_up(monkeypatch):
    monkeypatch.setattr("worker.comfyui.events._HANDSHAKE_S", 0.3)
    head = raw(b"HTTP/1.1 101 Switching Protocols\r\nX: ", *[b"a"] * 400)
    with scripted_node({"GET /ws": head}) as node, EventSocket(node.url, node="gpu-1"):
        wait_until(lambda: len(node.ports) > 1, description="it has connected anew")


@pytest.mark.parametrize(
    "part", [b"HTTP/1.1 100 Continue\r\n\r\n", b"a"], ids=["100 Continue", "a byte"]
)
def test_the_head_of_an_answer_that_never_ends_is_given_up(part, monkeypatch):
    monkeypatch.setattr(open_connections._HTTP, "head_s", 0.2)
    begin = b"" if part.endswith(b"\n") else b"HTTP/1.1 200 OK\r\nX: "
    head = raw(begin, *[part] * 400)
    with scripted_client({"GET /prompt": head}, read_s=0.2) as (client, _):
        began = time.monotonic()
        with pytest.raises(NodeTimeout, match=r"the head of its answer was not done within 0\.4 s"):
            client.queue_remaining()
        assert time.monotonic() - began < 5


def test_cookies_do_not_add_up():
    said = iter(range(1_000_000))

    async def bake(_request):
        response = web.json_response({"exec_info": {"queue_remaining": 0}})
        for _ in range(15):
            response.set_cookie(f"c{next(said)}", "v")
        return response

    with scripted_client({"GET /prompt": bake}) as (client, node):
        for _ in range(6):
            client.queue_remaining()
        assert max(len(head.get("Cookie", "").split()) for head in node.headers) == 15


def test_the_limits_leave_room_for_what_real_nodes_say():
    assert foreign_data.LARGE_BYTES >= 100 * MIB
    assert foreign_data.WHOLE_S >= 60


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"name": ""},
        {"name": ["a.png"]},
        {"name": "b.png", "subfolder": "in"},
        {"name": "a.png", "subfolder": {"x": "in"}},
        {"name": "a.png", "subfolder": "../in"},
        {"name": "a (1).jpg", "subfolder": "in"},
    ],
)
def test_a_name_that_an_upload_cannot_have_got_is_a_fault(said, tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    with (
        scripted_client({"POST /upload/image": answer(said)}) as (client, _),
        pytest.raises(NodeFault, match="without the name under which the file is stored"),
    ):
        client.upload(tmp_path / "a.png", name="a.png", subfolder="in")


@pytest.mark.parametrize("place", ["http://[/]:x", "//\\x", "http://:99999999/"])
def test_a_redirect_to_no_address_at_all_is_an_answer_as_well(place):
    async def lead(_request):
        return web.Response(status=301, headers={"Location": place})

    with scripted_client({"GET /prompt": lead}) as (client, _), pytest.raises(NodeError):
        client.queue_remaining()


@pytest.mark.parametrize("errors", [1.5, ["x"], "x", True])
def test_what_is_no_list_of_errors_refuses_nothing(errors):
    said = answer({"prompt_id": "p", "node_errors": errors})
    with scripted_client({"POST /prompt": said}) as (client, _):
        client.queue_prompt({}, prompt_id="p", client_id="c")


@pytest.mark.parametrize("said", [{}, {"error": None}, {"node_errors": {"4": None}}])
def test_a_refusal_without_a_reason_is_the_nodes_fault(said):
    with (
        scripted_client({"POST /prompt": answer(said, status=400)}) as (client, _),
        pytest.raises(NodeFault, match="its refusal of the graph is not of ComfyUI's shape"),
    ):
        client.queue_prompt({}, prompt_id="p", client_id="c")


@pytest.mark.parametrize("length", [b"9" * 5_000, b"-1", b"x", b"1e9"])
def test_a_length_that_is_none_is_not_known(length):
    said = raw(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n", b"some")
    output = OutputFile("9", "images", 0, "a.png", "", "output")
    with scripted_client({"GET /view": said}) as (client, _), client.view(output) as download:
        assert b"".join(download.chunks) == b"some"
