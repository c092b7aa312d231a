from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.storage.object_headers import content_disposition, decode_metadata, encode_metadata

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(TEXT, TEXT)
def test_metadata_of_any_text_survives_as_plain_ascii(name, text):
    [(key, value)] = encode_metadata({}, {name: text}).items()
    assert re.fullmatch(r"[a-z0-9_.-]+", key)
    assert value.isascii()
    assert value.split() == [value]
    assert decode_metadata({key.title(): value}) == {name.lower(): text}


def test_plain_metadata_is_carried_as_it_is():
    assert encode_metadata({}, {"Name": "beijing1_(2).webp"}) == {"name": "beijing1_(2).webp"}


@pytest.mark.parametrize(
    ("name", "carried"),
    [
        ("user_id", "user_id"),
        ("order.no", "order.no"),
        ("größe", "gr.c3.b6.c3.9fe"),
        ("a.ff", "a.2eff"),
    ],
)
def test_a_name_has_only_what_every_proxy_lets_through(name, carried):
    assert encode_metadata({}, {name: "x"}) == {carried: "x"}
    assert decode_metadata({carried: "x"}) == {name: "x"}


def test_an_empty_value_or_name_is_left_out():
    assert encode_metadata({"seed": ""}, {"subfolder": "", "": "x"}) == {}


@given(st.dictionaries(TEXT, st.text(st.characters(exclude_categories=["Cs"]), max_size=400)))
def test_all_of_it_is_within_what_s3_takes_and_ours_goes_first(theirs):
    ours = {"sha256": "0" * 64, "job": "j" * 36, "graph-node": "é" * 500, "seed": "7"}
    encoded = encode_metadata(ours, {"Job": "another", **theirs})
    assert sum(len(f"x-amz-meta-{name}{value}") for name, value in encoded.items()) <= 2048
    assert encoded["job"] == "j" * 36
    assert encoded.keys() >= ours.keys()


def test_what_does_not_fit_is_left_out_whole():
    encoded = encode_metadata({}, {"a": "x" * 2000, "b": "y" * 100, "c": "z"})
    assert encoded == {"a": "x" * 2000, "c": "z"}


@pytest.mark.parametrize("length", range(350, 362))
def test_a_long_value_of_ours_is_cut_between_escapes(length):
    value = encode_metadata({"graph-node": "a" * length + "é" * 9}, {})["graph-node"]
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


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a/b\\c.png", "c.png"),
        ("d/" * 4_000, "d"),
        ("\U0001f600" * 5_000 + ".png", "\U0001f600" * 196 + ".png"),
        ("x." + "y" * 5_000, "x." + "y" * 198),
        ("", ""),
    ],
    ids=["a path", "a long path", "four bytes each", "a long suffix", "none"],
)
def test_a_download_is_named_by_the_end_of_its_path_within_what_s3_takes(name, shown):
    header = content_disposition(name, media_type="image/png")
    assert unquote(header.partition("UTF-8''")[2]) == shown
    assert len(header) < 4_000
