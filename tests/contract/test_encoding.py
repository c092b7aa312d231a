"""Pictures that the companion's pool encodes beside the executing thread."""

from __future__ import annotations

import io
import itertools
import uuid
from typing import Any

import pytest
from PIL import Image

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from tests.contract.comfy import REAL_URL, Comfy, wait_until
from tests.contract.graphs import blank, graph_node, noise, picture, save
from tests.contract.long_prompts import long_prompt, stop

STATUS, FAILED, DELETE = (f"/comfyfleet/v1/{name}" for name in ("status", "failed", "delete"))

#: Of a picture that takes 50 ms to encode at least: a stand-in takes as long for any.
SIDE = 1024 if REAL_URL else 64
#: More than a node encodes before it is asked how it gets on.
_MANY = 12


@pytest.fixture
def pool(node) -> Comfy:
    """The ComfyUI under test, if its companion encodes and it has our own graph nodes."""
    if not encoding(node):
        pytest.skip("this companion encodes nothing: COMFYFLEET_COMPANION_ENCODING")
    if not node.has("ComfyFleetReadBack"):
        pytest.skip("this ComfyUI lacks tests/contract/custom_nodes")
    return node


def encoding(node: Comfy) -> dict[str, Any]:
    return node.get(STATUS).json()["encoding"]


def saved(entry: dict[str, Any], graph_node_id: str = "2") -> list[dict[str, str]]:
    return entry["outputs"][graph_node_id]["images"]


def prefix() -> str:
    return f"comfyfleet/{uuid.uuid4()}-1/3-x"


def failures(node: Comfy, files: list[Any]) -> list[dict[str, Any]]:
    answer = node.post(FAILED, json={"files": files})
    assert answer.status_code == 200, answer.text
    return answer.json()["failed"]


def test_a_prompt_ends_before_its_pictures_are_encoded_and_view_waits_for_them(pool):
    before = encoding(pool)
    entry = pool.run({"1": noise(SIDE, batch_size=_MANY), "2": save("1", prefix())})
    at_the_end = encoding(pool)
    answers = [pool.view(file) for file in saved(entry)]

    assert at_the_end["written"] < before["written"] + _MANY
    assert at_the_end["waiting_bytes"] >= SIDE * SIDE * 3
    for answer in answers:
        assert answer.status_code == 200
        assert Image.open(io.BytesIO(answer.content)).size == (SIDE, SIDE)
        assert answer.content.endswith(b"IEND\xaeB`\x82")
    assert encoding(pool)["written"] == before["written"] + _MANY
    assert encoding(pool)["waiting_bytes"] == 0


@pytest.mark.parametrize("extra", [{}, {"extra_pnginfo": {"workflow": {"é": [1, None]}}}])
def test_files_are_byte_for_byte_those_that_the_saver_writes_itself(pool, extra):
    read_back = graph_node("ComfyFleetReadBack", images=["1", 0], filename_prefix=prefix())
    graph = {"1": noise(256, batch_size=2), "2": save("1", prefix()), "3": read_back}
    before = encoding(pool)["written"]

    entry = pool.run(graph, extra_data=extra)

    files = [
        (pool.view(a), pool.view(b)) for a, b in zip(saved(entry), saved(entry, "3"), strict=True)
    ]
    assert len(files) == 2
    for pooled, own in files:
        assert (pooled.status_code, own.status_code) == (200, 200)
        assert pooled.content == own.content
        assert Image.open(io.BytesIO(pooled.content)).info.keys() >= {
            "prompt",
            *extra.get("extra_pnginfo", ()),
        }
    assert encoding(pool)["written"] == before + 2  # the other saver is left alone


def test_previews_are_encoded_likewise(pool):
    before = encoding(pool)["written"]
    shown = graph_node("PreviewImage", images=["1", 0])
    [file] = saved(pool.run({"1": noise(), "2": shown}))

    assert file["type"] == "temp"
    assert pool.view(file).status_code == 200
    assert encoding(pool)["written"] == before + 1


def test_prompts_with_one_prefix_get_names_of_their_own(pool):
    shared = prefix()
    graphs = [{"1": noise(SIDE, batch_size=2), "2": save("1", shared)} for _ in range(3)]
    ids = [pool.queue_prompt(graph) for graph in graphs]

    files = [saved(pool.ended(prompt_id)) for prompt_id in ids]
    names = [file["filename"] for file in itertools.chain(*files)]
    contents = {pool.view(file).content for file in itertools.chain(*files)}

    assert names == [f"3-x_{number:05}_.png" for number in range(1, 7)]
    assert len(contents) == 6


def test_a_later_saver_of_another_kind_gets_a_name_of_its_own(pool):
    shared = prefix()
    read_back = graph_node("ComfyFleetReadBack", images=["1", 0], filename_prefix=shared)
    first = pool.queue_prompt({"1": noise(SIDE), "2": save("1", shared)})
    second = pool.queue_prompt({"1": noise(64), "2": read_back})

    names = [saved(pool.ended(one))[0]["filename"] for one in (first, second)]
    assert names == ["3-x_00001_.png", "3-x_00002_.png"]


def test_the_next_prompt_may_load_a_picture_that_is_not_written_yet(pool):
    stem = f"contract-{uuid.uuid4()}"
    first = pool.queue_prompt({"1": noise(SIDE), "2": save("1", stem)})
    [file] = saved(pool.ended(first))
    loaded = graph_node("LoadImage", image=f"{file['filename']} [output]")

    entry = pool.run({"1": loaded, "2": save("1")})

    assert entry["status"]["status_str"] == "success"
    again = Image.open(io.BytesIO(pool.view(saved(entry)[0]).content))
    assert again.tobytes() == Image.open(io.BytesIO(pool.view(file).content)).tobytes()


def test_a_picture_that_cannot_be_written_is_missing_and_its_reason_is_told(pool):
    entry = pool.run(
        picture(f"comfyfleet/{uuid.uuid4()}-1/{'x' * 250}")
    )  # with its number too long
    [file] = saved(entry)

    assert entry["status"]["status_str"] == "success"
    assert pool.view(file).status_code == 404
    [told] = failures(pool, [file, {**file, "filename": "other.png"}, None, {"type": "etc"}])
    assert told["file"] == file
    assert told["exception_type"] == "OSError"
    assert "File name too long" in told["exception_message"]
    assert pool.run(picture(prefix()))["status"]["status_str"] == "success"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"files": 1}'])
def test_a_question_without_files_is_a_400(pool, body):
    answer = pool.post(FAILED, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_a_picture_that_is_deleted_before_it_is_written_does_not_come_back(pool):
    files = saved(pool.run({"1": noise(SIDE, batch_size=4), "2": save("1", prefix())}))

    answer = pool.post(DELETE, json={"files": files}).json()

    assert answer["refused"] == []
    assert answer["deleted"] + answer["missing"] == 4
    wait_until(lambda: not encoding(pool)["waiting"], description="nothing waits")
    assert {pool.view(file).status_code for file in files} == {404}


def test_a_prompt_that_is_interrupted_leaves_its_pictures_whole(pool):
    sleep = graph_node(
        "ComfyFleetSleep", image=["1", 0], seconds=5, steps=50, preview=False, nonce=1
    )
    graph = {"1": noise(SIDE), "2": save("1", prefix()), "3": sleep, "4": save("3")}
    ears = pool.listen()
    prompt_id = pool.queue_prompt(graph, client_id=ears.sid)
    ears.until(lambda one: one["type"] == "executed" and one["data"]["node"] == "2")

    pool.post("/interrupt", json={"prompt_id": prompt_id})

    [file] = saved(pool.ended(prompt_id))
    assert pool.view(file).content.endswith(b"IEND\xaeB`\x82")


def test_no_more_than_two_prompts_wait_in_memory(pool):
    before = long_prompt(pool)
    ids = [pool.queue_prompt({"1": noise(SIDE), "2": save("1", prefix())}) for _ in range(8)]
    stop(pool, before)
    most = 0
    while pool.entry(ids[-1]) is None:
        most = max(most, encoding(pool)["waiting"])
    assert 1 <= most <= 2


def test_the_pool_may_be_switched_off(tmp_path):
    if REAL_URL:
        pytest.skip("says nothing of a real server")
    options = StandinOptions(directory=tmp_path, companion=True, encoding_threads=0)
    with standin_thread(options) as served, Comfy(served.url) as node:
        assert encoding(node) is None
        [file] = saved(node.run({"1": blank(), "2": save("1")}))
        assert node.view(file).status_code == 200
        assert failures(node, [file]) == []
