"""Uploads as people send them: the file alone, or in a form, packed, or not at all."""

from __future__ import annotations

import gzip
import hashlib
import struct

import pytest

from tests.integration.api_server import problem
from tests.media_samples import png, png_chunk

FILE = png(8, 8)
#: The beginning of a picture that nobody could hold.
VAST = b"\x89PNG\r\n\x1a\n" + png_chunk(
    b"IHDR", struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
)


@pytest.mark.parametrize("kind", [None, "image/png", "application/x-www-form-urlencoded", "x"])
def test_a_file_is_stored_as_it_is_whatever_it_is_called(api, kind):
    made = api()("POST", "/v1/uploads", data=FILE, headers={"Content-Type": kind} if kind else {})
    assert (made.status_code, made.json()["id"]) == (201, hashlib.sha256(FILE).hexdigest())


def test_a_form_around_a_file_is_refused_as_no_graph_node_could_read_it(api):
    told = problem(api()("POST", "/v1/uploads", files={"file": FILE}), 415, "wrong-media-type")
    assert "--data-binary @FILE" in told["advice"]


def test_a_packed_file_is_refused(api):
    packed = {"Content-Encoding": "gzip"}
    answer = api()("POST", "/v1/uploads", data=gzip.compress(FILE), headers=packed)
    assert "packed by gzip" in problem(answer, 415, "wrong-media-type")["detail"]


@pytest.mark.parametrize("name", ["", "?name=fox.png"])
def test_what_is_wrong_with_a_file_is_told_without_the_folders_of_the_server(api, name):
    shop = api()
    told = problem(shop("POST", f"/v1/uploads{name}", data=b""), 422, "invalid-input")
    assert told["errors"][0]["pointer"] == "#"
    told = problem(shop("POST", f"/v1/uploads{name}", data=VAST), 422, "invalid-input")
    assert "200,000 by 200,000 pixels" in told["detail"]
    assert "/tmp" not in told["detail"]
    assert ("fox.png" in told["detail"]) is bool(name)
