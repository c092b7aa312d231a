"""The HTTP client against nodes that are gone, silent, confused, or send broken files."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from aiohttp import web

from producer.contract.errors import InvalidGraph, InvalidInput, InvalidSettings
from tests.integration.nodes import open_node, queue, sleeping_graph
from tests.integration.scripted_node import answer, raw, scripted_client
from worker.comfyui.client import ComfyUI
from worker.comfyui.history import OutputFile
from worker.comfyui.uploads import FileForm
from worker.errors import (
    NodeError,
    NodeFault,
    NodeTimeout,
    NodeUnreachable,
    OutputDamaged,
    PromptRejected,
    RequestTooLarge,
)

PICTURE = OutputFile("9", "images", 0, "a.png", "sub", "output")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"


async def lose_the_answer(request):
    await request.read()
    request.transport.abort()
    raise asyncio.CancelledError


async def be_silent(_request):
    await asyncio.sleep(60)


def test_a_closed_port_is_unreachable_and_says_where_and_why():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://user:secret@127.0.0.1:{free.getsockname()[1]}"
    with ComfyUI(url, node="gpu-1") as client, pytest.raises(NodeUnreachable) as caught:
        client.queue_remaining()
    assert "node gpu-1: GET /prompt at http://127.0.0.1:" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_unknown_host_is_unreachable():
    with (
        ComfyUI("http://no-such-host.invalid:8188", node="gpu-1") as client,
        pytest.raises(NodeUnreachable, match=r"no-such-host\.invalid"),
    ):
        client.queue_remaining()


@pytest.mark.parametrize("url", ["gpu-1:8188", "ftp://gpu-1", "http://", "http://gpu-1:x"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(InvalidSettings, match=r"expected (http://HOST:PORT|\[USER)"):
        ComfyUI(url, node="gpu-1")


def test_silence_is_a_timeout_not_unreachable():
    with (
        scripted_client({"GET /prompt": be_silent}, read_s=0.2) as (client, _),
        pytest.raises(NodeTimeout, match="GET /prompt"),
    ):
        client.queue_remaining()


def test_silence_in_the_middle_of_an_answer_is_a_timeout():
    begun = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", then="hang")
    with (
        scripted_client({"GET /system_stats": begun}, read_s=0.2) as (client, _),
        pytest.raises(NodeTimeout),
    ):
        client.system_stats()


def test_a_lost_answer_to_a_post_is_unreachable():
    with (
        scripted_client({"POST /prompt": lose_the_answer}) as (client, _),
        pytest.raises(NodeUnreachable, match="POST /prompt"),
    ):
        queue(client, sleeping_graph())


@pytest.mark.parametrize(
    ("response", "told"),
    [
        (web.Response(status=500, text="500 Internal Server Error\n\nin trouble"), "500 Internal"),
        (web.Response(text="<html>"), "not JSON"),
        (web.Response(status=400, text="Bad Request"), "not JSON"),
        (web.json_response([]), "no object"),
        (web.json_response({"prompt_id": "another", "node_errors": {}}), "not ours"),
    ],
)
def test_an_answer_that_is_not_comfyuis_is_a_node_fault(response, told):
    async def respond(_request):
        return response

    routes = {"POST /prompt": respond, "POST /api/jobs/another/cancel": answer({"cancelled": True})}
    with scripted_client(routes) as (client, _), pytest.raises(NodeFault, match=told):
        queue(client, sleeping_graph())


def test_a_prompt_that_got_a_foreign_id_is_taken_back():
    routes = {
        "POST /prompt": answer({"prompt_id": "another", "node_errors": {}}),
        "POST /api/jobs/another/cancel": answer({"cancelled": True}),
    }
    with scripted_client(routes) as (client, node):
        with pytest.raises(NodeFault):
            queue(client, sleeping_graph())
        assert node.asked[-1] == "POST /api/jobs/another/cancel"


def test_a_refusal_is_told_even_if_the_good_half_cannot_be_taken_back():
    errors = {"4": {"class_type": "X", "errors": [{"message": "Broken", "details": ""}]}}
    routes = {"POST /prompt": answer({"prompt_id": "p", "node_errors": errors})}
    with (
        scripted_client(routes) as (client, _),
        pytest.raises(PromptRejected, match="graph node 4") as caught,
    ):
        queue(client, sleeping_graph())
    assert caught.value.node_errors == errors


def test_a_graph_over_the_nodes_limit_is_too_large_for_it():
    too_large = answer({}, status=413)
    with (
        scripted_client({"POST /prompt": too_large}) as (client, _),
        pytest.raises(RequestTooLarge, match="the graph of 3 graph nodes is larger than it takes"),
    ):
        queue(client, sleeping_graph())


def test_a_file_over_the_nodes_limit_is_too_large_for_it(tmp_path):
    (tmp_path / "big").write_bytes(bytes(3 << 20))
    with (
        open_node("0.33.0", tmp_path / "node", max_upload_bytes=1 << 20) as url,
        ComfyUI(url, node="gpu-1") as client,
        pytest.raises(
            RequestTooLarge, match=r"big\.png of 3,145,728 bytes is larger than it takes"
        ),
    ):
        client.upload(tmp_path / "big", name="big.png")


def test_a_graph_that_json_cannot_hold_is_an_invalid_graph():
    with scripted_client({}) as (client, node):
        with pytest.raises(InvalidGraph, match="JSON"):
            queue(client, {"1": {"class_type": "X", "inputs": {"cfg": float("nan")}}})
        assert node.asked == []


def test_a_file_that_shrinks_while_it_is_sent_is_an_invalid_input(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 100)
    form = FileForm(tmp_path / "file", part="image", name="x", fields={})
    (tmp_path / "file").write_bytes(b"x" * 50)
    with pytest.raises(InvalidInput, match="became shorter"):
        list(form)


def test_every_error_names_the_node_and_chains_its_cause():
    with (
        scripted_client({"GET /prompt": lose_the_answer}) as (client, _),
        pytest.raises(NodeError, match="node gpu-1: ") as caught,
    ):
        client.queue_remaining()
    assert caught.value.node == "gpu-1"
    assert caught.value.__cause__ is not None


# Files that come damaged


def fetch(route, **options):
    """Fetch a file from *route*."""
    with (
        scripted_client({"GET /view": route}, **options) as (client, _),
        client.view(PICTURE) as download,
    ):
        return b"".join(download.chunks)


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD + b"Content-Length: 1000\r\n\r\n", b"x" * 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"190\r\n" + b"x" * 400 + b"\r\n"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"3e8\r\n" + b"x" * 400),
        (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n", b"nope"),
    ],
    ids=["by length", "between chunks", "within a chunk", "not what its encoding says"],
)
def test_a_truncated_file_is_damaged(parts):
    with pytest.raises(OutputDamaged, match=r"sub/a\.png of graph node 9"):
        fetch(raw(*parts))


def test_a_file_without_a_declared_length_ends_where_the_connection_does():
    # So its declared length is None: only the check of the file itself can tell.
    assert fetch(raw(HEAD + b"\r\n", b"x" * 400)) == b"x" * 400


def test_a_connection_reset_within_a_file_is_unreachable_not_damaged():
    parts = (HEAD + b"Content-Length: 1000\r\n\r\n", b"x" * 400)
    with pytest.raises(NodeUnreachable, match="reset"):
        fetch(raw(*parts, then="reset"))


def test_a_slow_file_may_take_longer_than_the_silence_allowed():
    slow = raw(HEAD + b"Content-Length: 200\r\n\r\n", *[b"x" * 10] * 20)  # one each 50 ms
    assert fetch(slow, read_s=0.4) == b"x" * 200


def test_a_file_that_stops_coming_is_a_timeout():
    stuck = raw(HEAD + b"Content-Length: 200\r\n\r\n", b"x" * 10, then="hang")
    with pytest.raises(NodeTimeout):
        fetch(stuck, read_s=0.2)


def test_a_view_that_fails_is_a_node_fault():
    with pytest.raises(NodeFault, match=r"GET /view at .* was answered 500"):
        fetch(answer({}, status=500))


def test_a_readers_own_error_passes_untouched():
    def fill_the_disk(client):
        with client.view(PICTURE) as download:
            next(download.chunks)
            raise OSError("disk full")

    body = raw(HEAD + b"Content-Length: 3\r\n\r\n", b"xyz")
    with (
        scripted_client({"GET /view": body}) as (client, _),
        pytest.raises(OSError, match="disk full"),
    ):
        fill_the_disk(client)


def test_a_node_that_takes_an_upload_too_slowly_is_given_up(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(32 << 20)

    async def sip(request):
        for _ in range(50):  # s by far more than the bound
            await request.content.read(1)
            await asyncio.sleep(0.1)
        return web.Response(status=500)

    with scripted_client({"POST /upload/image": sip}, read_s=0.5) as (client, _):
        began = time.monotonic()
        with pytest.raises(NodeTimeout):
            client.upload(path, name="large")
        assert time.monotonic() - began < 4
