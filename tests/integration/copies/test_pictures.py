"""Copies of pictures: stripped, converted, with a thumbnail; and what cannot be."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from producer.contract.deliver import CopyState
from tests.integration.batch_feeding import GRAPH
from tests.media_samples import animated, noise, saved
from tests.png_chunks import png_chunks


def with_graph(mode: str = "RGB") -> bytes:
    """Return a PNG with what savers write beside its pixels."""
    info = PngInfo()
    info.add_text("prompt", json.dumps(GRAPH))
    info.add_itxt("workflow", "{}", zip=True)
    info.add_text("parameters", "steps: 20", zip=True)
    info.add(b"comf", b"prompt\0{}")
    exif = Image.Exif()
    exif[0x010E] = "by me"
    return saved(noise(mode), "PNG", pnginfo=info, exif=exif, dpi=(72, 72))


def chunks(png: bytes) -> list[bytes]:
    return [kind for kind, _ in png_chunks(png)]


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def test_strip_takes_texts_out_of_a_png_and_leaves_its_pixels(shop):
    whole = with_graph()
    job = shop.made(whole, metadata="strip")
    [copy] = job.copies
    stripped = shop.get(copy.key)
    assert {b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"comf"} <= set(chunks(whole))
    assert set(chunks(stripped)) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}
    assert opened(stripped).tobytes() == opened(whole).tobytes()
    assert shop.led.s3.head_object(Bucket=shop.bucket, Key=copy.key)["Metadata"].keys() == {
        "sha256"
    }


@pytest.mark.parametrize(("kind", "media_type"), [("WEBP", "image/webp"), ("JPEG", "image/jpeg")])
def test_strip_takes_exif_and_xmp_out_of_others_and_keeps_the_colours(shop, kind, media_type):
    exif = Image.Exif()
    exif[0x0110] = "prompt:{}"
    whole = saved(
        noise("RGB"), kind, exif=exif, xmp=b"<x/>", icc_profile=b"colours" * 9, comment=b"by me"
    )
    [copy] = shop.made(whole, media_type=media_type, metadata="strip").copies
    stripped = shop.get(copy.key)
    assert {"exif", "xmp"} <= opened(whole).info.keys()
    assert not {"exif", "xmp", "comment"} & opened(stripped).info.keys()
    assert opened(stripped).info["icc_profile"] == b"colours" * 9
    assert opened(stripped).tobytes() == opened(whole).tobytes()
    assert not any(text in stripped for text in (b"prompt:", b"<x/>", b"by me"))


def test_a_picture_is_converted_with_its_graph_and_has_a_thumbnail_beside_it(shop):
    job = shop.made(with_graph("RGBA"), format="webp", quality=80, thumbnail=16)
    copy, thumbnail = job.copies
    assert (copy.key, copy.media_type) == (f"{job.id}-0.webp", "image/webp")
    assert (thumbnail.key, thumbnail.is_thumbnail) == (f"{job.id}-0.webp.thumb.webp", True)
    converted = opened(shop.get(copy.key))
    assert (converted.format, converted.size, converted.mode) == ("WEBP", (37, 23), "RGBA")
    assert converted.getexif()[0x0110] == f"prompt:{json.dumps(GRAPH)}"
    small = opened(shop.get(thumbnail.key))
    assert (small.format, max(small.size), dict(small.getexif())) == ("WEBP", 16, {})


def test_what_cannot_be_converted_is_copied_as_it_is_and_a_note_says_so(shop):
    film = animated("WEBP")
    [copy] = shop.made(film, media_type="image/webp", format="png", metadata="strip").copies
    assert (copy.state, copy.note) == ("done", "it is animated, so it was not converted")
    assert copy.key.endswith("-0.png"), "as the artifact itself, whatever was asked for"
    assert opened(shop.get(copy.key)).n_frames == 3

    [copy] = shop.made(
        b"film", media_type="video/mp4", format="png", metadata="strip", thumbnail=64
    ).copies
    assert copy.state is CopyState.DONE
    assert copy.note == (
        "video/mp4 is not converted; metadata of video/mp4 is not taken out: it was copied as it is"
    )
    assert shop.get(copy.key) == b"film"


def test_what_is_damaged_is_given_up_at_once_and_says_why(shop):
    [copy, thumbnail] = shop.made(with_graph()[:-200], format="jpeg", thumbnail=16).copies
    assert {copy.state, thumbnail.state} == {CopyState.FAILED}
    assert (copy.tries, copy.error) == (
        1,
        "Pillow cannot convert it: OSError: image file is truncated",
    )
    assert shop.keys() == set()
