"""A file that is cut, changed or not what it should be is damaged, and the reason is said."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import media_samples as samples
from tests.unit.checked_files import PNG, SAMPLES, check, is_damaged
from worker.media.file_check import Damaged


def places(content):
    """Where to cut or change: everywhere in a small file, near the ends and by chance in others."""
    if len(content) < 700:
        return range(len(content))
    chance = random.Random(len(content))
    near = {*range(60), *range(len(content) - 60, len(content))}
    return sorted(near | {chance.randrange(len(content)) for _ in range(100)})


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_is_cut_off_anywhere_is_damaged(name):
    content = SAMPLES[name].content
    assert [cut for cut in places(content) if not is_damaged(name, content[:cut])] == []


@pytest.mark.parametrize("name", [n for n in SAMPLES if n.endswith((".png", ".opus", ".ogg"))])
def test_a_flipped_bit_is_found_where_the_format_has_checksums(name):
    content = bytearray(SAMPLES[name].content)
    missed = []
    for place in places(content):
        content[place] ^= 1 << place % 8
        missed += [] if is_damaged(name, bytes(content)) else [place]
        content[place] ^= 1 << place % 8
    assert missed == []


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(sorted(SAMPLES)),
    st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=8)), max_size=4),
)
def test_whatever_comes_is_whole_or_damaged(name, changes):
    content = bytearray(SAMPLES[name].content)
    for place, new in changes:
        content[place : place + len(new)] = new
    is_damaged(name, bytes(content))


@settings(deadline=None, max_examples=200)
@given(st.sampled_from([sample.content[:16] for sample in SAMPLES.values()]), st.binary())
def test_a_true_head_before_anything_at_all_is_whole_or_damaged(head, rest):
    is_damaged("a", head + rest)


@pytest.mark.parametrize("name", ["a.png", "a.txt", "a.json", "a.xyz", "a"])
def test_an_empty_file_is_damaged(name):
    with pytest.raises(Damaged, match=f"{name} is damaged: it is empty"):
        check(name, b"")


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"<!DOCTYPE html><html>Bad gateway</html>", "an HTML or XML page"),
        (b'\xef\xbb\xbf\r\n<?xml version="1.0"?>', "an HTML or XML page"),
        (b'{"error": "file not found"}', "JSON"),
        (bytes(1000), "zeros"),
        (b"404: Not Found", "no format we know"),
        (b"\x89PN", "no format we know"),
    ],
)
def test_an_answer_that_is_no_picture_is_damaged_and_said_to_be_what_it_is(body, what):
    with pytest.raises(Damaged, match=f"a.png is damaged: it begins like {what}"):
        check("a.png", body, declared="image/png")


@pytest.mark.parametrize("name", ["a.tiff", "a.bmp", "a.aac"])
def test_a_page_in_the_place_of_a_picture_we_cannot_check_is_damaged(name):
    with pytest.raises(Damaged, match="HTML"):
        check(name, b"<html>Bad gateway</html>")


def test_a_film_in_the_place_of_a_picture_is_damaged():
    with pytest.raises(Damaged, match="it is a film or sound, not a picture"):
        check("a.png", samples.mp4())


def test_a_picture_of_another_format_than_its_name_says_is_taken_for_what_it_is():
    assert check("a.png", SAMPLES["baseline.jpg"].content).media_type == "image/jpeg"


def idat(pixels, *, lost=0):
    """A PNG of 4 by 4 grey pixels, packed, with so many bytes lost at the end of them."""
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    packed = zlib.compress(pixels)
    body = packed[: len(packed) - lost]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        samples.png_chunk(kind, data)
        for kind, data in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (PNG + b"x", "goes on after"),
        (PNG + PNG, "goes on after"),
        (idat(bytes(19)), "19 of the 20 bytes"),
        (idat(bytes(20), lost=4), "20 of the 20 bytes"),
        (idat(bytes(21)), "more pixels than"),
        (idat(bytes(1 << 24)), "more pixels than"),
        (samples.png(4, 4, colour=2, depth=4), "makes no sense"),
        (samples.png(0, 4), "makes no sense"),
        (samples.png(4, 4, colour=3).replace(b"PLTE", b"ruIN"), "checksum"),
    ],
)
def test_a_png_that_does_not_add_up_is_damaged(content, reason):
    with pytest.raises(Damaged, match=reason):
        check("a.png", content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (samples.riff(b"WAVE", (b"fmt ", bytes(16))), "no sound"),
        (samples.riff(b"AVI ", (b"idx1", bytes(16))), "no film"),
        (samples.riff(b"WEBP", (b"EXIF", bytes(16))), "no picture"),
        (samples.wav() + b"x", "goes on after"),
        (samples.MATROSKA_HEAD + samples.element(b"\xec", bytes(20)), "segment is missing"),
        (samples.box(b"ftyp", b"isom") + samples.box(b"mdat", bytes(99)), "moov is missing"),
        (samples.glb() + b"x", "goes on after"),
        (struct.pack("<4sII", b"glTF", 2, 15) + bytes(3), "do not add up"),
        (samples.safetensors() + b"x", "goes on after"),
        (b"GIF89a" + bytes(7) + b";" + bytes(9), "no picture"),
        (b"\xff\xd8\xff\xd9" + bytes(20), "no picture"),
        (samples.flac([], samples=0), "no sound"),
    ],
)
def test_a_file_without_what_it_is_for_or_with_more_is_damaged(content, reason):
    with pytest.raises(Damaged, match=reason):
        check("a", content)


def test_a_png_without_its_palette_is_damaged():
    content = samples.png(4, 4, colour=3)
    palette = samples.png_chunk(b"PLTE", bytes(3))
    with pytest.raises(Damaged, match="palette"):
        check("a.png", content.replace(palette, b""))


def test_a_page_missing_from_an_ogg_is_damage():
    first, second, *others = samples.ogg_pages()
    with pytest.raises(Damaged, match="not the one that is due"):
        check("a.ogg", b"".join([first, *others]))
    assert not is_damaged("a.ogg", b"".join([first, second, *others]))


def test_a_frame_missing_from_a_flac_is_damage():
    frames = [samples.flac_frame(number) for number in range(5)]
    for missing in range(5):
        kept = [frame for number, frame in enumerate(frames) if number != missing]
        assert is_damaged("a.flac", samples.flac(kept, samples=5 * samples.FLAC_SAMPLES))


def test_a_flac_without_a_sample_count_still_needs_its_last_frame_whole():
    frames = [samples.flac_frame(number) for number in range(3)]
    content = samples.flac(frames, samples=0)
    assert is_damaged("a.flac", content[:-1])
    assert not is_damaged("a.flac", content)


def test_an_mp3_with_fewer_frames_than_noted_is_damaged():
    with pytest.raises(Damaged, match="5 of its 6 frames"):
        check("a.mp3", samples.mp3(frames=5))


@pytest.mark.parametrize("name", ["film.mp4", "film.webm", "sound.wav", "lossy.webp", "model.glb"])
def test_a_file_that_lost_its_middle_is_damaged(name):
    content = SAMPLES[name].content
    half = len(content) // 2
    assert is_damaged(name, content[:half] + content[half + 20 :])
