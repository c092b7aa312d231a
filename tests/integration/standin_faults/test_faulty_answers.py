"""Requests that are answered wrongly, late or not at all, and bodies that are not what they should be."""

from __future__ import annotations

import io
import time

import pytest
import requests
from PIL import Image

from infra.standin.painter import read_facts
from tests.contract.comfy import new_id
from tests.contract.graphs import picture
from tests.graphs import sound
from tests.integration.standin_faults.faults import LATE_S

# --- answers


def test_an_answer_is_another_one(comfy, fault):
    fault("POST /prompt", "answer", status=503, body="busy")

    answer = comfy.submit(picture())

    assert (answer.status_code, answer.text) == (503, "busy")
    assert comfy.get("/standin/journal").json()["prompts"] == []


@pytest.mark.parametrize("do", ["close", "vanish"])
def test_an_answer_is_lost_though_the_prompt_runs(comfy, fault, do):
    fault("POST /prompt", do, handled=True)
    prompt_id = new_id()

    with pytest.raises(requests.ConnectionError):
        comfy.submit(picture(), prompt_id=prompt_id)

    assert comfy.ended(prompt_id)["status"]["completed"]


def test_a_connection_ends_before_the_prompt_is_taken(comfy, fault):
    fault("POST /prompt", "close")

    with pytest.raises(requests.ConnectionError):
        comfy.submit(picture())

    assert "posts" not in comfy.get("/standin/journal").json()["counts"]


def test_a_request_hangs_for_a_time_or_until_it_is_cleared(comfy, fault, standin):
    fault("GET /queue", "hang", seconds=LATE_S)
    began = time.monotonic()
    with pytest.raises(requests.ConnectionError):
        comfy.get("/queue")
    assert time.monotonic() - began >= LATE_S

    fault("GET /prompt", "hang")
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{standin.url}/prompt", timeout=LATE_S)
    assert comfy.get("/queue").status_code == 200


@pytest.mark.parametrize("handled", [False, True])
def test_a_request_is_late_on_the_way_there_or_back(comfy, fault, handled):
    fault("GET /queue", "delay", seconds=LATE_S, handled=handled)
    began = time.monotonic()

    assert comfy.get("/queue").status_code == 200

    assert time.monotonic() - began >= LATE_S


# --- bodies


def test_a_body_comes_slowly(comfy, fault, saved):
    file, content = saved
    fault("GET /view", "slow", bytes_per_s=int(len(content) / LATE_S))
    began = time.monotonic()

    assert comfy.view(file).content == content

    assert time.monotonic() - began >= 0.8 * LATE_S


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_a_short_body_is_seen_by_its_framing(comfy, fault, saved, form):
    fault("GET /view", "truncate", form=form)

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        comfy.view(saved[0])


def test_a_short_body_that_ends_with_its_connection_looks_whole(comfy, fault, saved):
    file, content = saved
    fault("GET /view", "truncate", form="close", keep=0.25)

    answer = comfy.view(file)

    assert "Content-Length" not in answer.headers
    assert answer.content == content[: len(content) // 4]


def test_a_content_length_says_less_or_more_than_comes(comfy, fault, saved):
    file, content = saved
    fault("GET /view", "miscount", size=-3)
    assert comfy.view(file).content == content[:-3]

    fault("GET /view", "miscount", size=3, seconds=LATE_S)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        comfy.view(file)


def test_a_body_is_not_what_it_should_be(comfy, fault, saved):
    file, content = saved

    def seen(do):
        fault("GET /view", do)
        answer = comfy.view(file)
        assert answer.status_code == 200
        return answer

    flipped = seen("flip").content
    assert sum(a != b for a, b in zip(content, flipped, strict=True)) == 1
    assert seen("empty").content == b""
    assert seen("html").headers["Content-Type"].startswith("text/html")
    other = seen("swap").content
    assert Image.open(io.BytesIO(other)).size == Image.open(io.BytesIO(content)).size
    assert read_facts(other)["job"] == "another"
    assert comfy.view(file).content == content


def test_what_is_no_picture_is_swapped_for_other_bytes(comfy, fault):
    [file] = comfy.run(sound(0.1))["outputs"]["2"]["audio"]
    content = comfy.view(file).content
    fault("GET /view", "swap")

    assert comfy.view(file).content not in (content, b"")
