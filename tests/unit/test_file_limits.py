"""A file of very many parts, or of numbers that make no sense, is refused soon and in a sentence."""

from __future__ import annotations

import struct
import time
import zlib

import pytest

from tests import media_samples as samples
from tests.unit.checked_files import check
from worker.media.file_check import Damaged
from worker.media.formats import flac_frames, ogg, walker
from worker.media.formats.sniff import find_walk

MANY = 2_000
CHUNK = 256 << 10


def ogg_page(number):
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, 2, 0, number, 0, 0, 0)
    return head[:22] + struct.pack("<I", ogg._checksum(head, b"", b"")) + head[26:]


MANY_PARTS = {
    "boxes.mp4": samples.box(b"ftyp", b"isom") + samples.box(b"free") * MANY,
    "inner.mp4": samples.box(b"ftyp", b"isom") + samples.box(b"moov", samples.box(b"free") * MANY),
    "chunks.png": samples.png(1, 1)[:33] + samples.png_chunk(b"zzZz", b"") * MANY,
    "chunks.webp": samples.riff(b"WEBP", *[(b"ABCD", b"")] * MANY),
    "chunks.wav": samples.riff(b"WAVE", *[(b"ABCD", b"")] * MANY),
    "lists.avi": samples.riff(b"AVI ", *[(b"LIST", b"abcd")] * MANY),
    "blocks.gif": b"GIF89a\1\0\1\0\0\0\0" + b"\x21\xfe\0" * MANY,
    "markers.jpg": b"\xff\xd8" + b"\xff\xd0" * MANY,
    "padding.jpg": b"\xff\xd8" + b"\xff" * MANY,
    "pages.ogg": b"".join(map(ogg_page, range(MANY))),
    "elements.webm": b"\x1a\x45\xdf\xa3\x84webm\x18\x53\x80\x67\xff" + b"\xec\x80" * MANY,
    "blocks.flac": b"fLaC" + b"\x01\0\0\0" * MANY,
    "frames.flac": b"fLaC\x80\0\0\x22" + bytes(34) + b"\xff\xf8\xc9\x18\0\xc2" + b"\xff\xf8" * MANY,
    "chunks.glb": struct.pack("<4sII", b"glTF", 2, 1 << 31)
    + struct.pack("<I4s", 0, b"JSON") * MANY,
    "tags.mp3": (b"ID3" + bytes(7)) * MANY,
}


@pytest.mark.parametrize("name", MANY_PARTS)
def test_very_many_parts_are_refused_in_every_format(name, monkeypatch):
    monkeypatch.setattr(walker, "_PARTS", 500)
    monkeypatch.setattr(flac_frames, "_LOOKS", 500)
    monkeypatch.setattr(ogg, "_MOST_STREAMS", MANY)
    with pytest.raises(Damaged, match=r"parts in its first|look like \d+ frames"):
        check(name, MANY_PARTS[name])


def test_a_film_of_a_million_empty_boxes_costs_no_more_than_a_second_or_two():
    content = samples.box(b"ftyp", b"isom") + samples.box(b"free") * 1_000_000
    began = time.process_time()
    with pytest.raises(Damaged, match="parts in its first"):
        check("a.mp4", content, cuts=range(0, len(content), CHUNK))
    assert time.process_time() - began < 3


def test_long_sound_of_small_frames_is_whole():
    silence = b"\xff\xf3\x48\xc4" + bytes(140)  # 144 bytes: 48 kbit/s at 24 kHz
    content = silence * 120_000
    assert check("a.mp3", content, cuts=range(0, len(content), CHUNK)).media_type == "audio/mpeg"


def test_a_long_list_of_tensors_is_not_copied_with_each_chunk():
    listed = b'{"a": {"data_offsets": [0, 4]}' + b" " * (4 << 20) + b"}"
    checked = walker.Walker(find_walk(len(listed).to_bytes(8, "little") + b"{"))
    content = len(listed).to_bytes(8, "little") + listed + bytes(4)
    began = time.process_time()
    for at in range(0, len(content), 1024):
        checked.feed(content[at : at + 1024])
    assert checked.finish()
    assert time.process_time() - began < 2  # copied each time it would be 8 GB


@pytest.mark.parametrize("end", ["Infinity", "NaN", "1e999", "9" * 5_000, "null", '"x"', "[]"])
def test_tensors_whose_ends_make_no_sense_are_damaged(end):
    listed = b'{"a": {"data_offsets": [0, ' + end.encode() + b"]}}"
    with pytest.raises(Damaged, match="is damaged"):
        check("a.safetensors", len(listed).to_bytes(8, "little") + listed)


def test_a_picture_of_more_pixels_than_anybody_unpacks_is_refused_at_its_head():
    head = b"IHDR" + struct.pack(">II", 1 << 20, 1 << 20) + b"\x08\x02\0\0\0"
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    with pytest.raises(Damaged, match="more than a picture may have"):
        check("a.png", b"\x89PNG\r\n\x1a\n" + chunk)


def test_whatever_breaks_while_a_file_is_read_is_its_damage(monkeypatch):
    for surprise in (MemoryError(), RecursionError("deep"), struct.error("short"), IndexError("x")):

        def feed(_self, _chunk, surprise=surprise):
            raise surprise

        monkeypatch.setattr(walker.Walker, "feed", feed)
        with pytest.raises(Damaged, match=r"a\.png is damaged: it makes no sense"):
            check("a.png", samples.png(1, 1))
