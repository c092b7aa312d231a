"""A whole file is told by its bytes as they stream by, typed safely, in constant memory."""

from __future__ import annotations

import hashlib
import io
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests import media_samples as samples
from tests.unit.checked_files import PNG, SAMPLES, check, is_damaged
from worker.media.file_check import FileCheck, FileFacts

# --- whole files


@pytest.mark.parametrize("name", SAMPLES)
def test_a_whole_file_is_told_by_its_bytes(name):
    sample = SAMPLES[name]
    assert check(name, sample.content) == FileFacts(
        sample.media_type,
        *sample.size,
        len(sample.content),
        hashlib.sha256(sample.content).hexdigest(),
    )


@settings(deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.lists(st.integers(0, 4000), max_size=30))
def test_the_answer_does_not_depend_on_how_the_bytes_arrive(name, cuts):
    content = SAMPLES[name].content
    assert check(name, content, cuts=cuts) == check(name, content)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_arrives_byte_by_byte_is_whole(name):
    content = SAMPLES[name].content[:]
    assert check(name, content, cuts=range(len(content))) == check(name, content)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (5, 4), (8, 8), (17, 3)])
@pytest.mark.parametrize(("colour", "depth"), [(0, 1), (0, 16), (2, 16), (3, 4), (4, 8), (6, 16)])
def test_an_interlaced_png_is_whole(size, colour, depth):
    content = samples.png(*size, colour=colour, depth=depth, interlaced=True)
    with Image.open(io.BytesIO(content)) as image:
        image.load()
    facts = check("a.png", content)
    assert (facts.width, facts.height) == size


def test_a_live_film_may_end_anywhere():
    content = samples.live_webm()
    assert check("a.webm", content).media_type == "video/webm"
    assert check("a.webm", content[:-50]).media_type == "video/webm"


def test_a_long_film_is_several_riff_files():
    more = samples.riff(b"AVIX", (b"LIST", b"movi" + bytes(50)))
    assert check("a.avi", samples.avi() + more).media_type == "video/x-msvideo"
    assert is_damaged("a.avi", samples.avi() + more[:-1])


def test_a_sound_of_unknown_length_may_end_anywhere():
    content = b"RIFF\xff\xff\xff\xff" + samples.wav()[8:]
    assert check("a.wav", content).media_type == "audio/wav"


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), b"APETAGEX" + bytes(50), bytes(9)])
def test_an_mp3_may_end_with_a_tag(behind):
    assert check("a.mp3", samples.mp3() + behind).media_type == "audio/mpeg"


def test_a_jpeg_may_carry_another_picture_behind_it():
    content = SAMPLES["baseline.jpg"].content
    assert check("a.jpg", content + content).media_type == "image/jpeg"


@pytest.mark.parametrize("samples_noted", [0, 200 * samples.FLAC_SAMPLES])
def test_a_long_flac_is_followed_through_its_longer_numbers(samples_noted):
    frames = [samples.flac_frame(number) for number in range(200)]
    assert check("a.flac", samples.flac(frames, samples=samples_noted)).media_type == "audio/flac"


def test_samples_that_look_like_the_head_of_another_frame_are_samples():
    frames = [samples.flac_frame(0), samples.flac_frame(1, start=samples.flac_head(9))]
    content = samples.flac(frames, samples=2 * samples.FLAC_SAMPLES)
    assert check("a.flac", content).media_type == "audio/flac"


# --- media types of what cannot be told by its bytes


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.js", "a.xml", "a.css", "a.xhtml", "A.HTM"])
def test_what_a_browser_would_run_is_stored_as_plain_bytes(name):
    facts = check(name, b"<script>alert(1)</script>", declared="text/html")
    assert facts.media_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.txt", "text/plain"),
        ("a.JSON", "application/json"),
        ("a.tiff", "image/tiff"),
        ("a.exr", "image/x-exr"),
        ("a.obj", "model/obj"),
        ("a.unknown", "application/octet-stream"),
    ],
)
def test_a_file_of_no_known_format_is_typed_by_a_table_of_safe_names(name, media_type):
    assert check(name, b"hello").media_type == media_type


@pytest.mark.parametrize("start", [b"GIF89a", b"OggS", b"ID3", b"\xef\xbb\xbf{", b"<p>"])
def test_a_text_may_begin_with_anything(start):
    assert check("a.txt", start).media_type == "text/plain"


def test_the_declared_type_counts_where_neither_bytes_nor_name_tell():
    assert check("notes", b"hi", declared="text/plain; charset=utf-8").media_type == "text/plain"
    assert check("notes", b"hi", declared="text/html").media_type == "application/octet-stream"
    assert check("a.bin", b"hi", declared="text/plain").media_type == "application/octet-stream"
    assert check("picture", PNG, declared="text/html").media_type == "image/png"


# --- memory


MEGABYTE = bytes(1 << 20)
LARGE = 200


def peak_of(name, pieces):
    file = FileCheck(name)
    tracemalloc.start()
    try:
        for piece in pieces:
            file.feed(piece)
        facts = file.finish()
        return facts, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def large_mp4():
    yield samples.mp4()
    yield struct.pack(">I4s", 8 + LARGE * len(MEGABYTE), b"mdat")
    for _ in range(LARGE):
        yield MEGABYTE


def large_webp():
    yield b"RIFF" + struct.pack("<I", 4 + 18 + 8 + LARGE * len(MEGABYTE)) + b"WEBP"
    yield b"VP8X" + struct.pack("<I", 10) + bytes(10)
    yield b"ANMF" + struct.pack("<I", LARGE * len(MEGABYTE))
    for _ in range(LARGE):
        yield MEGABYTE


def png_of_zeros():
    """Some 200 KB, which unpack to 192 MB."""
    yield samples.png(8192, 8192)


@pytest.mark.parametrize(
    ("name", "pieces"),
    [("a.mp4", large_mp4()), ("a.webp", large_webp()), ("a.png", png_of_zeros())],
)
def test_memory_does_not_grow_with_the_file(name, pieces):
    made = list(pieces) if name == "a.png" else pieces
    facts, peak = peak_of(name, made)
    assert facts.width
    assert peak < 2 << 20
