from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.storage.object_headers import content_disposition, decode_metadata, encode_metadata


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_metadata_of_any_text_survives_as_plain_ascii(text):
    encoded = encode_metadata({"Name": text})
    assert encoded["name"].isascii()
    assert encoded["name"].split() == [encoded["name"]]
    assert decode_metadata(encoded) == {"name": text}


def test_plain_metadata_is_carried_as_it_is():
    assert encode_metadata({"name": "beijing1_(2).webp"}) == {"name": "beijing1_(2).webp"}


def test_an_empty_value_is_left_out():
    assert encode_metadata({"subfolder": ""}) == {}


@pytest.mark.parametrize("length", range(350, 362))
def test_a_long_value_is_cut_between_escapes(length):
    value = encode_metadata({"name": "a" * length + "é" * 9})["name"]
    assert len(value) <= 360
    assert decode_metadata({"name": value})["name"].rstrip("\ufffd").strip("aé") == ""


@pytest.mark.parametrize(
    "media_type", ["image/png", "video/mp4", "audio/flac", "application/json", "text/plain"]
)
def test_what_a_browser_only_shows_is_inline(media_type):
    assert content_disposition("a", media_type=media_type).startswith("inline;")


@pytest.mark.parametrize(
    "media_type",
    ["text/html", "image/svg+xml", "application/xml", "text/javascript", "", "text/plainer"],
)
def test_what_a_browser_might_run_is_an_attachment(media_type):
    assert content_disposition("a", media_type=media_type).startswith("attachment;")


def test_a_name_cannot_break_out_of_its_header():
    header = content_disposition('a"\r\nX: 1.png', media_type="image/png")
    assert header == ("inline; filename=\"a___X: 1.png\"; filename*=UTF-8''a%22%0D%0AX%3A%201.png")
