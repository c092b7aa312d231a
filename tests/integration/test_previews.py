"""Previews, from a node's frames to the library: handed on only while somebody watches."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import WSMsgType, web

from producer.contract.errors import FleetUnreachable
from producer.store import keys, limits
from producer.store.calls import Call, listen
from producer.store.previews import Picture, Previews
from tests.graphs import picture
from tests.integration.hand_led import WORKER, hold
from tests.integration.nodes import NODES, open_node, sleeping_graph
from tests.integration.scripted_node import scripted_node
from tests.integration.test_comfyui_events import post
from tests.polling import wait_until
from worker.attempt.lease import LeaseKeeper
from worker.comfyui.client import ComfyUI
from worker.comfyui.events import EventSocket

JPEG = picture(form="JPEG")
SHOWN = Picture("3", "image/jpeg", JPEG)


@pytest.mark.parametrize("which", NODES)
def test_a_node_tells_whose_previews_are(which, tmp_path):
    with (
        open_node(which, tmp_path) as url,
        ComfyUI(url, node="gpu-1") as comfyui,
        EventSocket(url, node="gpu-1") as events,
    ):
        wait_until(lambda: events.connected, description="it is connected")
        with post(comfyui, events, sleeping_graph(0.2, steps=2, preview=True)) as watch:
            assert watch.wait(10)
            assert watch.preview.graph_node == "2"
            assert watch.preview.prompt_id == watch.prompt_id
            assert watch.preview.content.startswith(b"\xff\xd8\xff")
        with post(comfyui, events, sleeping_graph(0.2, steps=2)) as watch:
            assert watch.wait(10)
            assert watch.preview is None


def test_a_preview_without_a_name_is_of_the_prompt_that_runs_and_of_no_others():
    frame = struct.pack(">II", 1, 1) + JPEG
    ours, others = "ours", "somebody else's"

    def progress(prompt_id):
        return {"type": "progress", "data": {"prompt_id": prompt_id, "value": 1, "max": 2}}

    said = []

    async def socket(request: web.Request) -> web.WebSocketResponse:
        line = web.WebSocketResponse()
        await line.prepare(request)
        said.append((await line.receive()).data)
        await line.send_json(progress(others))
        await line.send_bytes(frame)
        await line.send_json(progress(ours))
        async for message in line:
            if message.type is WSMsgType.TEXT:  # never: it waits for the end
                break
        return line

    async def second(request: web.Request) -> web.WebSocketResponse:
        line = web.WebSocketResponse()
        await line.prepare(request)
        await line.send_json(progress(ours))
        await line.send_bytes(frame)
        await line.receive()
        await line.receive()
        return line

    with scripted_node({"GET /ws": socket}) as node, EventSocket(node.url, node="x") as events:
        watch = events.watch(ours)
        wait_until(lambda: watch.last_heard, description="its own message came after the frame")
        assert watch.preview is None
    assert "supports_preview_metadata" in said[0]
    with scripted_node({"GET /ws": second}) as node, EventSocket(node.url, node="x") as events:
        watch = events.watch(ours)
        wait_until(lambda: watch.preview, description="its preview came")


def test_the_library_finds_the_newest_preview_for_a_while(led):
    job = led.running()
    previews = Previews(led.redis)
    assert led.fleet.preview(job.id) is None
    previews.write(hold(job), Picture(None, "image/png", b"the one before"))
    previews.write(hold(job), SHOWN)
    found, note = led.fleet.preview(job.id), led.fleet.preview_note(job.id)
    assert (found.content, found.media_type, found.graph_node) == (JPEG, "image/jpeg", "3")
    assert (note.job, note.attempt, note.bytes, note.at) == (job.id, 1, len(JPEG), found.at)
    assert abs(found.at - datetime.now(UTC)) < timedelta(seconds=30)
    assert 0 < led.redis.pttl(keys.preview(job.id)) <= limits.PREVIEW_MS
    assert "content" not in found.model_dump_json()


def test_an_attempt_that_lost_its_job_shows_nothing_more(led):
    job = led.running()
    lost = hold(job)
    led.failed(led.queued())
    led.store.commit(lost, artifacts=[], values={})
    Previews(led.redis).write(lost, SHOWN)
    assert led.fleet.preview(job.id) is None


def test_a_full_redis_takes_no_preview_and_says_so(led):
    job = led.running()
    led.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(FleetUnreachable, match="full"):
            Previews(led.redis).write(hold(job), SHOWN)
    finally:
        led.redis.config_set("maxmemory", 0)


def test_workers_hear_that_previews_are_watched_once_in_five_seconds(led):
    job = led.running()
    calls = listen(led.redis, timeout=timedelta(seconds=0.2))
    assert next(calls) is None
    for _ in range(3):
        led.fleet.preview(job.id)
        led.fleet.preview_note(job.id)
    heard = [next(calls) for _ in range(4)]
    calls.close()
    assert [call for call in heard if call] == [Call("preview", job.id)]


def test_the_word_reaches_the_attempt_of_that_job_alone(led):
    keeper = LeaseKeeper(
        led.store,
        node="gpu-01",
        worker=WORKER,
        every=timedelta(seconds=5),
        on_displaced=lambda _: None,
    )
    job, other = led.running(), led.running()
    with keeper.keep(hold(job)) as lease, keeper.keep(hold(other)) as others:
        keeper.on_call(Call("watched", ""))
        assert not lease.is_previewed
        keeper.on_call(Call("preview", f"{job.id} of-nobody"))
        assert (lease.is_previewed, others.is_previewed) == (True, False)
