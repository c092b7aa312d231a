"""The size that a picture claims, as Pillow writes it, and as nobody should believe it."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from producer.contract.classes.files import FileInput
from producer.contract.errors import InvalidInput
from producer.intake.files import check_content
from producer.intake.picture_size import picture_size

SIZE = (123, 45)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "exif": b"Exif\x00\x00" + b"x" * 5_000}),
        ("WEBP", {"lossless": False}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00"}),
    ],
)
def test_the_size_is_read_by_the_header(form, options):
    file = BytesIO()
    Image.new("RGB", SIZE).save(file, form, **options)
    file.seek(0)
    assert picture_size(file) == SIZE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\x00\x00" * 200,
        b"GIF89a",
        b"RIFF",
        b"text",
    ],
)
def test_what_has_no_size_has_none(data):
    assert picture_size(BytesIO(data)) is None


def bomb(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(b"IHDR" + head))
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + head + crc + b"\0" * 100


def test_a_picture_that_claims_more_pixels_than_a_node_opens_is_refused():
    file = FileInput("1", "image", "x.png")
    with pytest.raises(InvalidInput, match="claims 100,000 by 100,000 pixels") as refused:
        check_content(
            bomb(100_000, 100_000), file, "inputs.1.image", limit=1_000, most_pixels=178_956_970
        )
    assert refused.value.graph_node == "1"
    check_content(
        bomb(10_000, 10_000), file, "inputs.1.image", limit=1_000, most_pixels=178_956_970
    )
    check_content(bomb(100_000, 100_000), file, "inputs.1.image", limit=1_000, most_pixels=0)
