"""PNG files that the companion writes by strips: what is in them is what Pillow would have written."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngInfo

from infra.companion_node.encoding_pool import EncodingPool
from infra.companion_node.png_strips import save_png
from tests.png_chunks import png_chunks

#: Channels by mode.
MODES = {"RGB": 3, "RGBA": 4, "L": 1}


@pytest.fixture(scope="module")
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(3) as made:
        yield made


def picture(mode: str, width: int, height: int) -> Image.Image:
    """Return colours that change slowly, with a little noise: every filter is the best somewhere."""
    chance = random.Random(f"{mode} {width} {height}")
    noise = [
        Image.frombytes("L", (width, height), chance.randbytes(width * height)).point(
            [value >> 5 for value in range(256)]
        )
        for _ in range(MODES[mode])
    ]
    slow = Image.radial_gradient("L").resize((width, height))
    channels = [ImageChops.add_modulo(slow, one) for one in noise]
    return Image.merge(mode, channels) if len(channels) > 1 else channels[0]


def metadata() -> PngInfo:
    info = PngInfo()
    info.add_text("prompt", '{"1": "é"}')
    info.add_itxt("workflow", "ü" * 3000, zip=True)
    info.add(b"prVt", b"stands behind the pixels", after_idat=True)
    return info


def without_pixels(path: Path) -> list[tuple[bytes, bytes]]:
    """Return all chunks; of those of pixels only that they are there."""
    kinds = [(kind, content if kind != b"IDAT" else b"") for kind, content in chunks(path)]
    return list(dict.fromkeys(kinds))


def chunks(path: Path) -> list[tuple[bytes, bytes]]:
    return png_chunks(path.read_bytes())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("size", "level"),
    [
        *[((1111, 1024), level) for level in (1, 4, 9)],
        ((1, 1_100_000), 4),  # a strip has more rows than zlib can look back at
        ((70_000, 19), 4),  # a row is longer than that
    ],
)
def test_pixels_and_all_that_stands_beside_them_are_those_that_pillow_writes(
    tmp_path, threads, mode, size, level
):
    image = picture(mode, *size)
    image.info["dpi"] = (72, 72)
    options = {"compress_level": level, "pnginfo": metadata()}
    image.save(tmp_path / "pillow.png", **options)

    assert save_png(image, str(tmp_path / "ours.png"), threads, **options) is not None

    assert without_pixels(tmp_path / "ours.png") == without_pixels(tmp_path / "pillow.png")
    stream = b"".join(content for kind, content in chunks(tmp_path / "ours.png") if kind == b"IDAT")
    assert len(zlib.decompress(stream)) == size[1] * (1 + size[0] * MODES[mode])
    with Image.open(tmp_path / "ours.png") as ours, Image.open(tmp_path / "pillow.png") as theirs:
        assert (ours.mode, ours.info) == (theirs.mode, theirs.info)
        assert ours.tobytes() == theirs.tobytes() == image.tobytes()


def test_it_is_about_as_small(tmp_path, threads):
    image = picture("RGB", 1024, 1024)
    image.save(tmp_path / "pillow.png", compress_level=4)
    assert save_png(image, str(tmp_path / "ours.png"), threads, compress_level=4) is not None
    sizes = [(tmp_path / name).stat().st_size for name in ("ours.png", "pillow.png")]
    assert sizes[0] < 1.03 * sizes[1]


def test_a_transparent_colour_is_kept(tmp_path, threads):
    image = picture("RGB", 512, 701)
    image.info["transparency"] = (1, 2, 3)
    save_png(image, str(tmp_path / "ours.png"), threads, compress_level=4)
    with Image.open(tmp_path / "ours.png") as ours:
        assert ours.info["transparency"] == (1, 2, 3)


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("x.webp", "RGB", {"compress_level": 4}),
        ("x.png", "P", {"compress_level": 4}),
        ("x.png", "I;16", {"compress_level": 4}),
        ("x.png", "RGB", {}),
        ("x.png", "RGB", {"compress_level": 0}),
        ("x.png", "RGB", {"compress_level": -1}),
        ("x.png", "RGB", {"compress_level": "4"}),
        ("x.png", "RGB", {"compress_level": 4, "optimize": True}),
        ("x.png", "RGB", {"compress_level": 4, "save_all": True, "append_images": []}),
    ],
)
def test_what_is_not_known_is_left_to_pillow(tmp_path, threads, name, mode, options):
    image = Image.new(mode, (1024, 1024))
    assert save_png(image, str(tmp_path / name), threads, **options) is None
    assert not list(tmp_path.iterdir())


def test_small_ones_are_left_to_pillow(tmp_path, threads):
    image = Image.new("L", (1024, 1023))
    assert save_png(image, str(tmp_path / "x.png"), threads, compress_level=4) is None
    image = Image.new("L", (1024, 1024))
    assert save_png(image, str(tmp_path / "x.png"), threads, compress_level=4) is not None


def test_threads_that_have_ended_leave_it_to_pillow(tmp_path):
    ended = ThreadPoolExecutor(1)
    ended.shutdown()
    assert (
        save_png(picture("RGB", 512, 701), str(tmp_path / "x.png"), ended, compress_level=4) is None
    )


def test_a_strip_that_cannot_be_made_is_told(tmp_path, threads, monkeypatch):
    image = picture("RGB", 512, 701)
    whole = image.crop

    def crop(box):
        if box[1] > 300:
            raise MemoryError("no room")
        return whole(box)

    monkeypatch.setattr(image, "crop", crop)
    with pytest.raises(MemoryError, match="no room"):
        save_png(image, str(tmp_path / "x.png"), threads, compress_level=4)


def test_a_full_disk_is_told(tmp_path, threads):
    (tmp_path / "x.png").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        save_png(picture("RGB", 512, 701), str(tmp_path / "x.png"), threads, compress_level=4)


def test_the_pool_saves_so_and_counts_what_one_thread_would_have_taken(tmp_path):
    image, path = picture("RGB", 2048, 1024), tmp_path / "x.png"
    pool = EncodingPool(threads=2)
    began = time.thread_time()
    image.save(tmp_path / "pillow.png", compress_level=4)
    one_thread_s = time.thread_time() - began

    pool.put(path, lambda part: pool.save(image, part, compress_level=4), prompt=1, size=1)
    assert pool.wait(path, 60)
    pool.close()

    assert path.read_bytes() != (tmp_path / "pillow.png").read_bytes()
    with Image.open(path) as ours:
        assert ours.tobytes() == image.tobytes()
    assert 0.5 * one_thread_s < pool.status()["encoded_s"]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_pool_that_has_closed_saves_as_ever(tmp_path, threads):
    image, path = picture("RGB", 512, 701), tmp_path / "x.png"
    pool = EncodingPool(threads=threads)
    pool.close()
    pool.save(image, str(path), compress_level=4)
    with Image.open(path) as ours:
        assert ours.tobytes() == image.tobytes()
