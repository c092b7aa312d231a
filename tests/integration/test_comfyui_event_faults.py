"""The event socket against nodes that drop it, go deaf, send nonsense or are not there."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import threading
import time
import uuid
from contextlib import contextmanager

from aiohttp import web

from tests.integration.scripted_node import scripted_node
from tests.polling import wait_until
from worker.comfyui.client import ComfyUI
from worker.comfyui.events import EventSocket

PROMPT = "0192f0c1-2345-7abc-8def-0123456789ab"
STATUS = {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "x"}}
LAST = {"type": "executing", "data": {"node": None, "prompt_id": PROMPT}}
STEP = {"type": "progress", "data": {"node": "2", "value": 1, "max": 4, "prompt_id": PROMPT}}
FAILED = {"type": "execution_error", "data": {"node_id": "2", "prompt_id": PROMPT, "timestamp": 1}}
BLOCKED = {"type": "execution_error", "data": {"node_id": "2", "prompt_id": PROMPT}}
NONSENSE = [
    b"\0\0\0\1\0\0\0\1 a preview",
    "no JSON",
    "[]",
    "17",
    '{"type": "executing", "data": {"node": "2"}}',
    json.dumps({"type": ["odd"], "data": {"prompt_id": PROMPT}}),
    json.dumps({"type": "progress_state", "data": {"prompt_id": PROMPT, "nodes": [None]}}),
    json.dumps({"type": "progress", "data": {"prompt_id": PROMPT, "node": {}, "value": "x"}}),
    "[" * 100_000,
]


def line(*messages, when=None, then="stay"):
    """Return a websocket route that greets, waits for *when*, sends *messages*, and then:

    `stay` answers pings, `drop` hangs up, `deaf` reads nothing more.
    """

    async def handle(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_json(STATUS)
        if when:
            await asyncio.to_thread(when.wait, 10)
        for message in messages:
            if isinstance(message, bytes):
                await ws.send_bytes(message)
            else:
                await ws.send_str(message if isinstance(message, str) else json.dumps(message))
        if then == "stay":
            async for _ in ws:
                pass
        if then == "deaf":
            await asyncio.sleep(60)
        return ws

    return handle


@contextmanager
def hearing(*messages, then="stay", **options):
    """Yield a watch of PROMPT, whose *messages* come as soon as it listens, and its socket."""
    when = threading.Event()
    with (
        scripted_node({"GET /ws": line(*messages, when=when, then=then)}) as node,
        EventSocket(node.url, node="gpu-1", **options) as events,
        events.watch(PROMPT, graph_nodes=["1", "2"]) as watch,
    ):
        when.set()
        yield watch, events


def test_nonsense_is_passed_over_and_the_socket_stays():
    with hearing(*NONSENSE, LAST) as (watch, events):
        before = events.client_id
        assert watch.wait(10)
        assert events.connected
        assert events.client_id == before


def test_a_hint_is_handed_out_once():
    with hearing(FAILED) as (watch, _):
        assert watch.wait(10)
        assert not watch.wait(0.1)


def test_an_error_of_a_blocked_part_is_no_end():
    with hearing(BLOCKED, STEP) as (watch, _):
        wait_until(lambda: watch.progress.value == 1, description="the message after it is heard")
        assert not watch.wait(0)


def test_a_wait_returns_for_progress_only_when_asked():
    with hearing(STEP) as (watch, _):
        assert watch.wait(10, or_progress=True) is False
        assert watch.progress.value == 1
        assert watch.wait(0.05) is False


def test_wake_ends_a_wait_at_once():
    with hearing() as (watch, _):
        threading.Timer(0.05, watch.wake).start()
        began = time.monotonic()
        assert watch.wait(10) is False
        assert time.monotonic() - began < 5


def test_a_frame_of_megabytes_is_heard_whole():
    states = {str(n): {"state": "finished", "pad": "x" * 1000} for n in range(5000)}
    large = {"type": "progress_state", "data": {"prompt_id": PROMPT, "nodes": states}}
    with hearing(bytes(5 << 20), large, LAST) as (watch, _):
        assert watch.wait(20)
        assert watch.progress.graph_nodes_done == 2


def test_an_end_that_precedes_the_posts_answer_is_heard():
    posted = threading.Event()

    async def answer_late(request):
        posted.set()
        await asyncio.to_thread(
            wait_until, lambda: watch.last_heard, description="the end is heard"
        )
        body = {"prompt_id": (await request.json())["prompt_id"], "node_errors": {}}
        return web.json_response(body)

    routes = {"GET /ws": line(LAST, when=posted), "POST /prompt": answer_late}
    with (
        scripted_node(routes) as node,
        ComfyUI(node.url, node="gpu-1") as comfyui,
        EventSocket(node.url, node="gpu-1") as events,
        events.watch(PROMPT) as watch,
    ):
        comfyui.queue_prompt({}, prompt_id=PROMPT, client_id=events.client_id)
        assert watch.wait(0)


def test_every_connection_has_an_id_of_its_own():
    seen = []

    async def drop(request):
        seen.append(request.query["clientId"])
        return await line(then="drop")(request)

    with scripted_node({"GET /ws": drop}) as node, EventSocket(node.url, node="gpu-1"):
        wait_until(lambda: len(seen) >= 3, description="it connects again and again")
    assert len(set(seen)) == len(seen)
    assert all(str(uuid.UUID(client_id)) == client_id for client_id in seen)


def test_a_peer_that_answers_no_ping_is_left():
    with hearing(then="deaf", silence_s=0.2) as (_, events):
        wait_until(lambda: events.connected, description="it is connected")
        before = events.client_id
        wait_until(lambda: events.client_id != before, description="it hangs up", within_s=20)


def test_a_silent_peer_that_answers_pings_is_kept():
    with hearing(silence_s=0.4) as (watch, events):
        wait_until(lambda: events.connected, description="it is connected")
        before = events.client_id
        assert not watch.wait(1.6)
        assert events.connected
        assert events.client_id == before


def test_a_node_that_never_opens_it_is_told_of_once(caplog):
    with scripted_node({}) as node, EventSocket(node.url, node="gpu-1") as events:
        wait_until(lambda: len(node.asked) >= 3, description="it tries again and again")
        assert not events.connected
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "node gpu-1: no events from http://127.0.0.1:" in caplog.text


def test_neither_origin_nor_proxy_of_the_environment_is_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with scripted_node({"GET /ws": line()}) as node, EventSocket(node.url, node="x") as events:
        wait_until(lambda: events.connected, description="it is connected")
        assert "Origin" not in node.headers[0]


def test_a_user_in_the_address_is_shown_to_the_proxy_before_comfyui():
    with scripted_node({"GET /comfy/ws": line()}) as node:
        url = node.url.replace("//", "//me:p%40ss@") + "/comfy/"
        with EventSocket(url, node="gpu-1") as events, ComfyUI(url, node="gpu-1") as comfyui:
            wait_until(lambda: events.connected, description="it is connected")
            comfyui.has_input("x", "", size_bytes=1)
    expected = "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert node.asked == ["GET /comfy/ws", "HEAD /comfy/view"]
    assert [headers["Authorization"] for headers in node.headers] == [expected] * 2


# Its end


def ends_quickly(events):
    began = time.monotonic()
    events.close()
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("events-")]
    return time.monotonic() - began < 1 and not left


def test_close_ends_a_living_connection():
    with hearing() as (_, events):
        wait_until(lambda: events.connected, description="it is connected")
        assert ends_quickly(events)
        assert not events.connected


def test_close_ends_the_wait_for_a_node_that_is_not_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert ends_quickly(EventSocket(f"http://127.0.0.1:{port}", node="gpu-1"))


def test_close_ends_a_handshake_that_nobody_answers():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        events = EventSocket(f"http://127.0.0.1:{mute.getsockname()[1]}", node="gpu-1")
        peer, _ = mute.accept()
        with peer:
            assert peer.recv(1)
            assert ends_quickly(events)


def test_a_closed_socket_is_silent_in_the_log(caplog):
    caplog.set_level(logging.WARNING)
    with hearing() as (_, events):
        wait_until(lambda: events.connected, description="it is connected")
        events.close()
    assert not caplog.records
