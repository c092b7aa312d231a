"""Pictures without what is beside their pixels: bit by bit the same, whatever their kind; damaged ones are refused."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.media_samples import animated, noise, saved
from worker.media.formats.walker import Damaged
from worker.media.stripping import strip

SECRET = b"a secret prompt"


def exif() -> Image.Exif:
    found = Image.Exif()
    found[0x0110] = SECRET.decode()
    return found


def texts() -> PngInfo:
    found = PngInfo()
    found.add_text("prompt", SECRET.decode())
    return found


PICTURES = {
    "png": ("image/png", saved(noise("RGBA"), "PNG", pnginfo=texts(), exif=exif())),
    "png of 16 bits": ("image/png", saved(noise("I;16"), "PNG", pnginfo=texts())),
    "png with a palette": ("image/png", saved(noise("P"), "PNG", pnginfo=texts())),
    "animated png": ("image/png", animated("PNG", pnginfo=texts())),
    "jpeg": ("image/jpeg", saved(noise("RGB"), "JPEG", exif=exif(), comment=SECRET)),
    "progressive jpeg": ("image/jpeg", saved(noise("RGB"), "JPEG", progressive=True, exif=exif())),
    "jpeg of inks": ("image/jpeg", saved(noise("RGB").convert("CMYK"), "JPEG", comment=SECRET)),
    "webp": ("image/webp", saved(noise("RGB"), "WEBP", exif=exif(), xmp=SECRET)),
    "lossless webp": ("image/webp", saved(noise("RGBA"), "WEBP", lossless=True, exif=exif())),
    "animated webp": ("image/webp", animated("WEBP", exif=exif())),
}


def frames(content: bytes) -> list[tuple[str, bytes]]:
    picture = Image.open(io.BytesIO(content))
    found = []
    for number in range(getattr(picture, "n_frames", 1)):
        picture.seek(number)
        found.append((picture.mode, picture.tobytes()))
    return found


@pytest.mark.parametrize("name", PICTURES)
def test_pixels_stay_and_texts_go_also_those_after_the_end(name, tmp_path):
    media_type, whole = PICTURES[name]
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(whole + SECRET)
    assert SECRET in whole
    assert strip(source, target, media_type=media_type)
    stripped = target.read_bytes()
    assert SECRET not in stripped
    assert frames(stripped) == frames(whole)
    again = tmp_path / "again"
    assert strip(target, again, media_type=media_type)
    assert again.read_bytes() == stripped


@pytest.mark.parametrize("name", PICTURES)
def test_one_that_ends_too_soon_is_refused_or_keeps_its_secret_out(name, tmp_path):
    media_type, whole = PICTURES[name]
    source, target = tmp_path / "source", tmp_path / "target"
    for length in (*range(16), *range(16, len(whole), 97)):
        source.write_bytes(whole[:length])
        try:
            strip(source, target, media_type=media_type)
        except Damaged:
            continue
        assert SECRET not in target.read_bytes()


def test_what_nobody_knows_how_to_strip_is_left_alone(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(SECRET)
    assert not strip(source, tmp_path / "target", media_type="video/mp4")
    assert not (tmp_path / "target").exists()
