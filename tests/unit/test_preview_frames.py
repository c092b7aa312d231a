"""Preview frames of ComfyUI: which pictures are taken from them, and what is passed over."""

from __future__ import annotations

import json
import random
import struct

import pytest

from tests.graphs import picture
from tests.mutations import mutated
from worker.comfyui.preview_frames import LARGEST_PREVIEW, preview_of

JPEG = picture(form="JPEG")
#: As 0.3.64 and 0.33.0 send it.
ABOUT = {
    "node_id": "2.0.0.3",
    "prompt_id": "62cc92f5-1b7f-4d57-8a0b-6c4a4e7e2b0c",
    "display_node_id": "2",
    "parent_node_id": None,
    "real_node_id": "2",
    "image_type": "image/jpeg",
}


def plain(content, *, event=1, kind=1):
    return struct.pack(">II", event, kind) + content


def described(content, about=ABOUT):
    text = about if isinstance(about, bytes) else json.dumps(about).encode()
    return struct.pack(">II", 4, len(text)) + text + content


def test_a_preview_that_names_its_prompt_is_of_the_graph_node_that_people_see():
    found = preview_of(described(JPEG))
    assert found == (ABOUT["prompt_id"], "2", "image/jpeg", JPEG)


def test_a_preview_of_the_older_form_names_nothing():
    assert preview_of(plain(JPEG)) == (None, None, "image/jpeg", JPEG)


def test_its_first_bytes_say_what_a_picture_is_whatever_the_frame_says():
    png = picture(form="PNG")
    assert preview_of(plain(png, kind=1)).media_type == "image/png"
    assert preview_of(described(png)).media_type == "image/png"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0\0\0",
        plain(JPEG, event=3),
        plain(JPEG, event=2),
        plain(JPEG, event=1 << 31),
        plain(b""),
        plain(b"<html><script>alert(1)</script>"),
        plain(b"GIF89a"),
        plain(picture(form="WEBP")),
        plain(b"\x89PNG"),
        plain(b"\xff\xd8\xff" + bytes(LARGEST_PREVIEW)),
        described(JPEG, b"[]"),
        described(JPEG, b"{}"),
        described(JPEG, b"{"),
        described(JPEG, b"\xff" * 20),
        described(JPEG, b"[" * 10_000),
        described(JPEG, {**ABOUT, "node_id": "x" * 20_000}),
        struct.pack(">II", 4, 0xFFFFFFFF) + JPEG,
        described(b"no picture"),
    ],
)
def test_what_is_no_picture_or_too_large_is_passed_over(frame):
    assert preview_of(frame) is None


def test_the_largest_picture_is_taken():
    assert preview_of(plain(JPEG.ljust(LARGEST_PREVIEW, b"\0"))) is not None


def test_an_odd_name_of_a_graph_node_is_made_printable_and_short():
    found = preview_of(
        described(JPEG, {**ABOUT, "display_node_id": "\x1b[31m\ud800" + "x" * 5_000})
    )
    assert found.graph_node.isprintable()
    assert len(found.graph_node) < 200
    assert found.graph_node.encode()


@pytest.mark.parametrize("seed", range(200))
def test_odd_metadata_never_raises(seed):
    about = mutated(dict(ABOUT), random.Random(seed))
    found = preview_of(described(JPEG, json.dumps(about).encode()))
    assert found is None or found.content == JPEG
