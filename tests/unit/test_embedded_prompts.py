"""The graph in a picture becomes the one that was handed in; nothing else of any file changes."""

from __future__ import annotations

import json
import struct
import time
import zlib
from io import BytesIO

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from producer.contract.errors import FleetUnreachable
from producer.contract.graph.graph import read_graph
from tests.unit.graph_samples import LIMIT, step
from worker.media.embedded_prompts import EmbeddedPrompt, with_prompt
from worker.media.file_check import FileCheck

PREFIX = "comfyfleet/01a202fc-72b0-7acb-9f17-73fc8595814e-1/9-fox"
POSTED = {"9": step("SaveImage", filename_prefix=PREFIX, images=["8", 0]), "8": step("Decode")}
HANDED_IN = {
    "8": step("Decode"),
    "9": step("SaveImage", filename_prefix="füchse/fox", images=["8", 0]),
    "99": step("Note", text="left out"),
}
#: As ComfyUI notes it in its own copy.
AS_RUN = {**POSTED, "8": {**POSTED["8"], "is_changed": [None]}}
PROMPT = EmbeddedPrompt(POSTED, lambda: HANDED_IN)


def changed(data: bytes, *, size: int = 1 << 20, prompt: EmbeddedPrompt = PROMPT) -> bytes:
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return b"".join(with_prompt(pieces, prompt))


def picture(form: str, graph=POSTED, **options) -> bytes:
    file, image = BytesIO(), Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    if form == "PNG":
        info = PngInfo()
        info.add_text("parameters", "a fox")
        info.add_text("prompt", json.dumps(graph))
        info.add_text("workflow", json.dumps({"nodes": []}))
        image.save(file, "PNG", pnginfo=info, **options)
    elif form == "APNG":
        info = PngInfo()
        info.add(b"comf", b"prompt\0" + json.dumps(graph).encode("latin-1"), after_idat=True)
        image.save(file, "PNG", pnginfo=info, save_all=True, append_images=[image.rotate(90)])
    else:
        exif = image.getexif()
        exif[0x010F] = 'workflow:{"nodes": []}'
        exif[0x0110] = f"prompt:{json.dumps(graph)}"
        image.save(file, form, exif=exif, **options)
    return file.getvalue()


FORMS = ["PNG", "APNG", "WEBP", "JPEG"]


@pytest.mark.parametrize("size", [1, 7, 4_096, 1 << 20])
@pytest.mark.parametrize("form", FORMS)
def test_the_graph_is_the_one_that_was_handed_in_and_the_file_is_whole(form, size):
    before = picture(form, AS_RUN)
    after = changed(before, size=size)
    assert read_graph(after, max_bytes=LIMIT).graph == HANDED_IN
    extension = {"APNG": "png", "JPEG": "jpg"}.get(form, form.lower())
    check = FileCheck(f"x.{extension}")
    check.feed(after)
    assert check.finish().bytes == len(after)
    with Image.open(BytesIO(before)) as one, Image.open(BytesIO(after)) as other:
        assert one.tobytes() == other.tobytes()
        assert {name for name in one.info if name != "exif"} == {
            n for n in other.info if n != "exif"
        }
        assert other.info.get("parameters", "a fox") == "a fox"


@pytest.mark.parametrize("form", FORMS)
def test_equal_pixels_make_equal_files_whatever_the_attempt_was_called(form):
    files = set()
    for mark in (
        "01a202fc-72b0-7acb-9f17-73fc8595814e-1",
        "01b303fd-83c1-7bdc-8a28-84ad96a6925f-1",
    ):
        posted = {
            **POSTED,
            "9": step("SaveImage", filename_prefix=f"comfyfleet/{mark}/9-fox", images=["8", 0]),
        }
        files.add(changed(picture(form, posted), prompt=EmbeddedPrompt(posted, lambda: HANDED_IN)))
    assert len(files) == 1


def torn(data: bytes) -> bytes:
    at = data.index(b"comfyfleet/01a")
    return data[:at] + b"C" + data[at + 1 :]


def packed_text() -> bytes:
    body = b"prompt\0\0" + zlib.compress(json.dumps(POSTED).encode())
    chunk = b"zTXt" + body
    whole = picture("PNG", {})
    at = whole.index(b"IDAT") - 4
    return (
        whole[:at]
        + struct.pack(">I", len(body))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + whole[at:]
    )


LEFT = {
    "another graph": picture("PNG", {**POSTED, "10": step("Save")}),
    "another class": picture("PNG", {**POSTED, "8": step("Other")}),
    "no graph": picture("PNG", {"9": "fox"}),
    "a list": picture("PNG", []),
    "a checksum that is wrong": torn(picture("PNG")),
    "a packed text": packed_text(),
    "cut in its graph": picture("PNG")[:150],
    "cut in its pixels": torn(picture("PNG"))[:-900],
    "a signature": b"\x89PNG\r\n\x1a\n",
    "a length without end": b"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXtprompt\0{}",
    "a WEBP without a graph": picture("WEBP", {}),
    "a WEBP, cut": picture("WEBP", {})[:-5],
    "a JPEG without a graph": picture("JPEG", {}),
    "a JPEG, cut": picture("JPEG")[:30],
    "odd EXIF": b"\xff\xd8\xff\xe1\x00\x10Exif\0\0II*\0\xff\xff\xff\xff" + b"x" * 99,
    "a film": b"\0\0\0\x18ftypmp42" + b"x" * 99,
    "text": json.dumps(POSTED).encode(),
    "nothing": b"",
}


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("data", LEFT.values(), ids=LEFT.keys())
def test_what_does_not_hold_the_posted_graph_stays_byte_for_byte(data, size):
    assert changed(data, size=size) == data


def test_a_file_of_very_many_parts_is_no_slower_than_its_bytes_warrant():
    tiny = struct.pack(">I4sI", 0, b"aaAa", zlib.crc32(b"aaAa")) * 200_000
    data = picture("PNG", {})[:33] + tiny
    began = time.process_time()
    assert changed(data, size=256 << 10) == data
    assert time.process_time() - began < 3


def test_an_empty_piece_is_no_end():
    data = picture("PNG")
    pieces = (piece for at in range(0, len(data), 9) for piece in (b"", data[at : at + 9]))
    assert b"".join(with_prompt(pieces, PROMPT)) == changed(data)


@pytest.mark.parametrize("form", ["WEBP", "JPEG"])
def test_a_graph_that_has_no_room_in_exif_is_cut_and_else_the_file_stays_as_it_is(form):
    long = {**HANDED_IN, "98": step("Note", text="x" * 900)}
    after = changed(picture(form), prompt=EmbeddedPrompt(POSTED, lambda: long))
    cut = {name: HANDED_IN[name] for name in POSTED}
    assert read_graph(after, max_bytes=LIMIT).graph == cut
    longer = {**HANDED_IN, "8": step("Decode", text="x" * 900)}
    after = changed(picture(form), prompt=EmbeddedPrompt(POSTED, lambda: longer))
    assert after == picture(form)


def test_a_template_that_cannot_be_read_leaves_the_file_as_it_is():
    def away():
        raise FleetUnreachable("Redis is away")

    assert changed(picture("PNG"), prompt=EmbeddedPrompt(POSTED, away)) == picture("PNG")
