"""The HTTP client, on stand-in nodes of both ages and on servers that misbehave."""

from __future__ import annotations

import io
import json
import tracemalloc
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp import web
from packaging.version import Version
from PIL import Image

from tests.integration.nodes import (
    NODES,
    half_valid_graph,
    open_node,
    queue,
    raising_graph,
    sleeping_graph,
)
from tests.integration.scripted_node import answer, scripted_client
from tests.polling import wait_until
from worker.comfyui.client import ComfyUI, PromptPlace
from worker.comfyui.history import Outcome, OutputFile
from worker.errors import NodeFault, OutputDamaged, PromptRejected

PICTURE = OutputFile("9", "images", 0, "a.png", "sub", "output")
ODD_NAMES = [
    "beijing1 (2).webp",
    'quo"te.png',
    "back\\slash.png",
    "semi;colon.png",
    "日本.png",
    "per%20cent.png",
    "plus+and&.png",
]


@pytest.fixture(scope="module", params=NODES)
def url(request, tmp_path_factory):
    with open_node(request.param, tmp_path_factory.mktemp("node"), step_seconds=0) as found:
        yield found


@pytest.fixture
def comfyui(url):
    with ComfyUI(url, node="gpu-1") as client:
        yield client


def run(comfyui, graph):
    """Queue *graph*, wait for its end and return its history."""
    prompt_id = queue(comfyui, graph)
    wait_until(lambda: comfyui.history(prompt_id), description="the prompt ends")
    return comfyui.history(prompt_id)


def is_in(comfyui, prompt_id, place):
    return comfyui.find_prompt(prompt_id) is place


# A healthy node


def test_a_node_tells_its_version_and_what_it_can_do(comfyui):
    assert comfyui.version >= Version("0.3.64")
    assert comfyui.queue_remaining() == 0
    assert comfyui.object_info()["SaveImage"]["output_node"] is True


def test_a_prompt_is_found_from_its_post_until_it_is_forgotten(comfyui):
    running = queue(comfyui, sleeping_graph(60, steps=1_200), extra_data={"job_id": "x"})
    waiting = queue(comfyui, sleeping_graph())
    wait_until(
        lambda: is_in(comfyui, running, PromptPlace.RUNNING), description="the first prompt runs"
    )
    assert comfyui.find_prompt(waiting) is PromptPlace.QUEUED
    assert comfyui.queue_remaining() == 2
    assert comfyui.history(waiting) is None
    comfyui.cancel(running)
    wait_until(
        lambda: is_in(comfyui, waiting, PromptPlace.FINISHED), description="the second one ends"
    )
    assert comfyui.history(waiting).outcome is Outcome.SUCCEEDED
    comfyui.delete_history(waiting)
    assert comfyui.find_prompt(waiting) is PromptPlace.UNKNOWN
    assert comfyui.find_prompt(running) is PromptPlace.FINISHED


def test_a_saved_picture_comes_as_long_as_it_was_declared(comfyui):
    (output,) = run(comfyui, sleeping_graph()).outputs
    assert (output.graph_node, output.kind, output.index, output.subfolder) == (
        "3",
        "images",
        0,
        "t",
    )
    with comfyui.view(output) as download:
        body = b"".join(download.chunks)
    assert download.media_type == "image/png"
    assert Image.open(io.BytesIO(body)).size == (64, 64)


def test_a_raising_graph_node_is_named(comfyui):
    entry = run(comfyui, raising_graph("no such luck"))
    assert entry.outcome is Outcome.FAILED
    assert (entry.error.graph_node, entry.error.class_type) == ("2", "ComfyFleetRaise")
    assert (entry.error.exception_type, entry.error.message) == ("RuntimeError", "no such luck")


def test_an_unknown_class_is_refused_by_graph_node_and_name(comfyui):
    graph = sleeping_graph()
    graph["2"]["class_type"] = "NoSuchClass"
    with pytest.raises(PromptRejected, match=r"graph node 2 \(NoSuchClass\)") as caught:
        queue(comfyui, graph)
    assert caught.value.node_errors["2"]["class_type"] == "NoSuchClass"


def test_a_wrong_value_is_refused_by_graph_node_input_and_limit(comfyui):
    graph = sleeping_graph()
    graph["1"]["inputs"]["width"] = 0
    with pytest.raises(PromptRejected) as caught:
        queue(comfyui, graph)
    assert "graph node 1 (EmptyImage), input width: Value 0 smaller than min of 1" in str(
        caught.value
    )


def test_a_half_accepted_graph_is_refused_and_leaves_nothing_behind(comfyui):
    before = queue(comfyui, sleeping_graph(0.3))
    prompt_id = str(uuid.uuid4())
    with pytest.raises(PromptRejected, match=r"no-such\.ckpt"):
        comfyui.queue_prompt(half_valid_graph(), prompt_id=prompt_id, client_id="c")
    assert comfyui.find_prompt(prompt_id) is PromptPlace.UNKNOWN
    wait_until(lambda: comfyui.history(before), description="the one before it ends")
    assert comfyui.history(before).outcome is Outcome.SUCCEEDED


def test_a_queued_prompt_is_cancelled_and_the_running_one_goes_on(comfyui):
    running = queue(comfyui, sleeping_graph(0.3))
    waiting = queue(comfyui, sleeping_graph())
    comfyui.cancel(waiting)
    assert comfyui.find_prompt(waiting) is PromptPlace.UNKNOWN
    wait_until(lambda: comfyui.history(running), description="the running prompt ends")
    assert comfyui.history(running).outcome is Outcome.SUCCEEDED


def test_a_running_prompt_is_interrupted(comfyui):
    running = queue(comfyui, sleeping_graph(20, steps=400))
    wait_until(lambda: is_in(comfyui, running, PromptPlace.RUNNING), description="it runs")
    comfyui.cancel(running)
    wait_until(lambda: comfyui.history(running), description="it ends")
    assert comfyui.history(running).outcome is Outcome.INTERRUPTED


def test_cancelling_what_is_not_there_is_no_error(comfyui):
    comfyui.cancel(str(uuid.uuid4()))
    comfyui.delete_history(str(uuid.uuid4()))
    comfyui.free_memory()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_uploaded_file_keeps_its_name_and_bytes(comfyui, tmp_path, name):
    file, subfolder = tmp_path / "file", f"in {uuid.uuid4()}"
    file.write_bytes(b"some bytes\r\n--")
    assert not comfyui.has_input(name, subfolder, size_bytes=14)
    assert comfyui.upload(file, name=name, subfolder=subfolder) == f"{subfolder}/{name}"
    assert comfyui.has_input(name, subfolder, size_bytes=14)
    assert not comfyui.has_input(name, subfolder, size_bytes=15)
    with comfyui.view(OutputFile("1", "images", 0, name, subfolder, "input")) as download:
        assert b"".join(download.chunks) == file.read_bytes()


def test_an_upload_overwrites_nothing(comfyui, tmp_path):
    file, name = tmp_path / "file", f"{uuid.uuid4()}.png"
    file.write_bytes(b"one")
    assert comfyui.upload(file, name=name) == name
    assert comfyui.upload(file, name=name) == name
    file.write_bytes(b"two")
    assert comfyui.upload(file, name=name) == name.replace(".png", " (1).png")


def test_an_upload_that_is_refused_for_its_name_is_no_fault_of_the_submitters_file(
    comfyui, tmp_path
):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(NodeFault, match="with a refusal of the name x"):
        comfyui.upload(tmp_path / "file", name="x.png", subfolder="../..")


def test_a_file_that_the_node_no_longer_has_is_damaged(comfyui):
    with pytest.raises(OutputDamaged, match="no longer has the file"), comfyui.view(PICTURE):
        pass


def test_a_name_that_the_node_does_not_serve_is_damaged(comfyui):
    dotted = OutputFile("9", "images", 0, "a..b.png", "", "output")
    with pytest.raises(OutputDamaged, match="does not serve"), comfyui.view(dotted):
        pass


def test_eight_threads_share_the_kept_connections():
    with scripted_client({"GET /prompt": answer({"exec_info": {"queue_remaining": 3}})}) as (
        client,
        node,
    ):
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: client.queue_remaining(), range(400)))
        assert found == [3] * 400
        assert len(node.ports) <= 8


# What we send


def test_neither_origin_nor_proxy_of_the_environment_is_used(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with scripted_client({"GET /prompt": answer({"exec_info": {"queue_remaining": 0}})}) as (
        client,
        node,
    ):
        client.queue_remaining()
        assert "Origin" not in node.headers[0]


def test_the_queue_is_looked_at_before_the_history():
    prompt_id = str(uuid.uuid4())
    routes = {
        "GET /queue": answer({"queue_running": [[0, "other", {}, {}, []]], "queue_pending": None}),
        f"GET /history/{prompt_id}": answer({}),
    }
    with scripted_client(routes) as (client, node):
        assert client.find_prompt(prompt_id) is PromptPlace.UNKNOWN
        assert node.asked == ["GET /queue", f"GET /history/{prompt_id}"]


def test_a_node_without_job_routes_is_asked_for_them_once():
    routes = {"POST /queue": answer(None), "POST /interrupt": answer(None)}
    with scripted_client(routes) as (client, node):
        client.cancel("a")
        client.cancel("b")
        assert node.asked == ["POST /api/jobs/a/cancel", *["POST /queue", "POST /interrupt"] * 2]
        interrupts = [json.loads(body) for body in node.bodies[1::2]]
        assert interrupts == [{"prompt_id": "a"}, {"prompt_id": "b"}]


async def echo_prompt_id(request):
    return web.json_response({"prompt_id": (await request.json())["prompt_id"], "node_errors": {}})


def test_extra_data_that_was_not_given_is_not_sent_as_null():
    with scripted_client({"POST /prompt": echo_prompt_id}) as (client, node):
        queue(client, {})
        assert set(json.loads(node.bodies[0])) == {"prompt", "prompt_id", "client_id"}


def test_files_are_asked_for_as_they_are():
    async def give(_request):
        return web.Response(body=b"xyz")

    routes = {"GET /view": give}
    with scripted_client(routes) as (client, node), client.view(PICTURE):
        assert node.headers[0]["Accept-Encoding"] == "identity"


def test_a_large_upload_is_never_whole_in_memory(tmp_path):
    async def swallow(request):
        async for _ in request.content.iter_chunked(1 << 16):
            pass
        return web.json_response({"name": "big", "subfolder": "", "type": "input"})

    with (tmp_path / "big").open("wb") as file:
        file.truncate(64 << 20)
    with scripted_client({"POST /upload/image": swallow}) as (client, _):
        tracemalloc.start()
        try:
            client.upload(tmp_path / "big", name="big")
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()
