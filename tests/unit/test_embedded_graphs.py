from __future__ import annotations

import json
import struct
import zlib

import pytest

from producer.contract.errors import InvalidGraph
from producer.contract.graph.embedded_graphs import exif_places
from producer.contract.graph.graph import read_graph
from tests.unit.graph_samples import LIMIT, step

GRAPH = {"9": step("SaveImage", filename_prefix="é")}
TEXT = json.dumps(GRAPH)
PROMPT = b"prompt\0"
WORKFLOW = b"workflow\0" + b'{"nodes": []}'


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    ihdr = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    every = ((b"IHDR", ihdr), *chunks, (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in every
    )


def exif(*texts: bytes, order: str = "<") -> bytes:
    head, at = struct.pack(f"{order}H", len(texts)), 8 + 2 + 12 * len(texts) + 4
    entries, values = b"", b""
    for tag, text in enumerate(texts, 0x010F):
        entries += struct.pack(f"{order}HHII", tag, 2, len(text) + 1, at + len(values))
        values += text + b"\0"
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}I", 8) + head + entries + b"\0\0\0\0" + values


def webp(block: bytes) -> bytes:
    chunks = b"VP8 " + struct.pack("<I", 3) + b"abc\0" + b"EXIF" + struct.pack("<I", len(block))
    return b"RIFF" + struct.pack("<I", 99) + b"WEBP" + chunks + block


def jpeg(block: bytes) -> bytes:
    body = b"Exif\0\0" + block
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(body) + 2) + body + b"\xff\xda\0\2\xff\xd9"


def read(data: bytes):
    found = read_graph(data, max_bytes=LIMIT)
    return found.graph, found.extra_data


@pytest.mark.parametrize(
    "picture",
    [
        png((b"tEXt", PROMPT + TEXT.encode())),
        png((b"IDAT", b"x" * 99), (b"comf", PROMPT + TEXT.encode())),
        png((b"zTXt", PROMPT + b"\0" + zlib.compress(TEXT.encode()))),
        png((b"iTXt", PROMPT + b"\0\0en\0\0" + json.dumps(GRAPH, ensure_ascii=False).encode())),
        png((b"iTXt", PROMPT + b"\1\0\0\0" + zlib.compress(TEXT.encode()))),
        webp(exif(b"prompt:" + TEXT.encode())),
        webp(b"Exif\0\0" + exif(b"a: b", b"Prompt:" + TEXT.encode(), order=">")),
        jpeg(exif(b"prompt:" + TEXT.encode())),
    ],
)
def test_the_graph_in_a_picture_is_read(picture):
    assert read(picture) == (GRAPH, {})


def test_what_the_editor_saved_beside_it_goes_with_the_job():
    picture = png((b"tEXt", WORKFLOW), (b"tEXt", PROMPT + TEXT.encode()))
    assert read(picture)[1] == {"extra_pnginfo": {"workflow": {"nodes": []}}}


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (png(), r"holds no graph: ComfyUI saved it without metadata, or .* again \(submit the"),
        (png((b"tEXt", b"parameters\0a fox")), "saved it again; it holds parameters"),
        (png((b"tEXt", WORKFLOW)), "only the workflow as the editor saves it.*Export"),
        (png((b"tEXt", PROMPT + b"a red fox")), "graph is not JSON: Expecting value at line 1"),
        (png((b"zTXt", PROMPT + b"\0" + b"no zlib")), "a text of the picture is damaged"),
        (
            png((b"zTXt", PROMPT + b"\0" + zlib.compress(bytes(8 * LIMIT)))),
            r"a text of the picture has more than 4,194,304 bytes",
        ),
        (png((b"tEXt", PROMPT + TEXT.encode()))[:60], "holds no graph"),
        (b"\x89PNG\r\n\x1a\n", "holds no graph"),
        (b"\xff\xd8\xff", "holds no graph"),
        (b"RIFF....WEBP", "holds no graph"),
        (webp(b"II*\0" + b"\xff" * 40), "holds no graph"),
        (webp(exif(b"prompt:" + TEXT.encode())[:20]), "holds no graph"),
    ],
)
def test_a_picture_without_a_graph_says_what_it_holds(picture, message):
    with pytest.raises(InvalidGraph, match=message):
        read(picture)


def test_only_what_is_looked_for_is_unpacked_and_once():
    damaged = b"\0" + b"no zlib"
    first = (b"zTXt", PROMPT + b"\0" + zlib.compress(TEXT.encode()))
    picture = png((b"zTXt", b"other" + damaged), first, (b"zTXt", PROMPT + damaged))
    assert read(picture) == (GRAPH, {})


@pytest.mark.parametrize("before", [19, 20])
def test_blocks_beyond_what_cameras_write_are_not_read(before):
    block = exif(b"prompt:" + TEXT.encode())
    empty = b"\xff\xe1" + struct.pack(">H", 8) + b"Exif\0\0"
    picture = jpeg(block)
    at = picture.index(b"\xff\xe1")
    crowded = picture[:at] + empty * before + picture[at:]
    if before < 20:
        assert read(crowded) == (GRAPH, {})
    else:
        with pytest.raises(InvalidGraph, match="holds no graph"):
            read(crowded)


def test_texts_that_lie_over_each_other_are_not_read_a_thousand_times():
    text = b"other:" + b"x" * 100_000
    entries = struct.pack("<HHII", 0x010F, 2, len(text), 8) * 1_000
    block = b"II*\0" + struct.pack("<IH", 8 + len(text), 1_000) + entries
    block = block[:8] + text + block[8:]
    assert len(list(exif_places(block))) == 1
    with pytest.raises(InvalidGraph, match="holds no graph"):
        read(webp(block))
