"""What may be handed in for a graph node that loads pictures, sound or films."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from producer.intake.file_signatures import HEAD_BYTES, missing_bytes, surely_no

FORMS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "TGA", "PPM", "PCX", "DDS", "SGI", "JPEG2000")
FORMS += ("ICO", "AVIF", "QOI", "XBM")


@pytest.mark.parametrize("form", FORMS)
def test_whatever_pillow_opens_is_a_picture(form):
    content = io.BytesIO()
    mode = "1" if form == "XBM" else "RGB"
    Image.new(mode, (48, 32), 0).save(content, form)
    assert surely_no("image", content.getvalue()[:HEAD_BYTES]) == ""


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\xef\xbb\xbf  <html lang=en>", "a web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "a web page"),
        (b'{"error": "not found"}', "JSON"),
        (b"[1, 2]", "JSON"),
        (b"a fox in the snow\n", "text"),
        (b"PK\x03\x04 zip", "an archive"),
        (b"\x00\x00\x00\x20ftypisom", "a film"),
        (b"\x1aE\xdf\xa3 webm", "a film"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "a film"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "sound"),
        (b"OggS", "sound"),
        (b"%PDF-1.7", "a PDF"),
    ],
)
def test_what_is_surely_something_else_is_named(head, what):
    assert surely_no("image", head) == f"{what}, no picture"


def test_sound_and_films_may_be_anything_but_a_page_and_sound_no_picture():
    assert surely_no("video", b"\x00\x00\x00\x20ftypisom") == ""
    assert surely_no("audio", b"ID3") == ""
    assert surely_no("audio", b"<!doctype html>") == "a web page, no sound"
    assert surely_no("audio", b"\x89PNG\r\n\x1a\n") == "a picture, no sound"
    assert surely_no("latent", b'{"any": 1}') == ""


@pytest.mark.parametrize("form", ["WEBP", "PNG", "JPEG"])
def test_a_webp_must_be_whole_and_what_loadimage_makes_up_need_not(form):
    content = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(content, form)
    size = len(content.getvalue())
    head = content.getvalue()[:HEAD_BYTES]
    assert missing_bytes("image", head, size) == 0
    assert missing_bytes("image", head, size - 1) == 0
    assert missing_bytes("image", head, size - 100) == (100 if form == "WEBP" else 0)
    assert missing_bytes("file", head, size - 100) == 0
