"""PNG files that the companion writes by strips: what is in them is what Pillow would have written."""

from __future__ import annotations

import functools
import itertools
import os
import random
import subprocess
import sys
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, features
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


def ciphers(image: type[Image.Image]) -> None:
    """Put what encrypts whole pictures into the place of Pillow's class, as custom nodes do."""

    class Encrypted(image):
        def save(self, fp, *args, **options):
            self.paste(0, (0, 0, *self.size))
            super().save(fp, *args, **options)

    Image.Image = Encrypted


def marks(image: type[Image.Image]) -> None:
    def save(self, *args, **options):
        self.putpixel((0, 0), 1)
        plain(self, *args, **options)

    plain, image.save = image.save, functools.wraps(image.save)(save)


def tilts(image: type[Image.Image]) -> None:
    image.crop = lambda self, box: self.rotate(1).resize((box[2], box[3]))


def writes_otherwise(_image: type[Image.Image]) -> None:
    Image.register_save("PNG", lambda _image, file, _name: file.write(b"by somebody else"))


@pytest.mark.parametrize("changes", [ciphers, marks, tilts, writes_otherwise])
def test_where_a_custom_node_has_changed_how_pillow_saves_it_saves_whole_pictures(
    tmp_path, threads, monkeypatch, changes
):
    for owner, name in ((Image, "Image"), (Image.Image, "save"), (Image.Image, "crop")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.setitem(Image.SAVE, "PNG", Image.SAVE["PNG"])
    changes(Image.Image)
    image = Image.new("L", (1024, 1024))

    assert save_png(image, str(tmp_path / "x.png"), threads, compress_level=4) is None
    assert not list(tmp_path.iterdir())


def test_an_image_of_another_class_saves_itself(tmp_path, threads):
    Image.new("L", (1024, 1024)).save(tmp_path / "read.png", compress_level=4)
    with Image.open(tmp_path / "read.png") as image:
        assert save_png(image, str(tmp_path / "x.png"), threads, compress_level=4) is None


@pytest.mark.parametrize(
    ("pillows", "pythons", "is_by_strips"),
    [
        ("1.3.1.zlib-ng", "1.3.1", False),
        ("1.3.1.zlib-ng", "1.3.1.zlib-ng", True),
        ("1.2.13", "1.3.1.zlib-ng", True),
        (None, "1.3.1", True),
    ],
)
def test_where_pillow_alone_has_the_fast_zlib_it_compresses_itself(
    tmp_path, monkeypatch, pillows, pythons, is_by_strips
):
    monkeypatch.setattr(features, "version", {"zlib": pillows}.get)
    monkeypatch.setattr(zlib, "ZLIB_RUNTIME_VERSION", pythons)
    image, path = Image.new("L", (1024, 1024)), str(tmp_path / "x.png")
    with ThreadPoolExecutor(2) as own:
        assert (save_png(image, path, own, compress_level=4) is not None) == is_by_strips


def test_a_few_strips_of_a_large_picture_are_in_memory_at_once(tmp_path):
    class AtOnce(Executor):
        """Does what it is given before anybody asks for it, as threads do beside a slow disk."""

        def __init__(self) -> None:
            self.kept: weakref.WeakSet[Future] = weakref.WeakSet()
            self.most = self.given = 0

        def submit(self, does, *args):
            future: Future = Future()
            future.set_result(does(*args))
            self.kept.add(future)
            self.given += 1
            self.most = max(self.most, len(self.kept))
            return future

    threads = AtOnce()
    save_png(Image.new("L", (4096, 4096)), str(tmp_path / "x.png"), threads, compress_level=1)
    assert threads.given == 64
    assert threads.most <= 34


def test_when_one_strip_fails_those_that_wait_are_given_up(tmp_path, monkeypatch):
    compressor, has_failed, tried = zlib.compressobj, threading.Event(), []

    def fails(*options: Any) -> Any:
        tried.append(options)
        if len(tried) == 1:
            raise MemoryError("no room")
        assert has_failed.wait(60)
        return compressor(*options)

    monkeypatch.setattr(zlib, "compressobj", fails)
    with ThreadPoolExecutor(1) as one:
        with pytest.raises(MemoryError, match="no room"):
            save_png(picture("RGB", 1024, 1024), str(tmp_path / "x.png"), one, compress_level=4)
        has_failed.set()
    assert len(tried) <= 2


def test_a_full_disk_is_told(tmp_path):
    (tmp_path / "x.png").symlink_to("/dev/full")
    with ThreadPoolExecutor(2) as own, pytest.raises(OSError, match="No space left"):
        save_png(picture("RGB", 512, 701), str(tmp_path / "x.png"), own, compress_level=4)


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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a whole process gives way")
def test_threads_that_encode_take_a_core_after_those_that_render(tmp_path, monkeypatch):
    here, there = os.getpriority(os.PRIO_PROCESS, 0), set()

    def note(does: Callable[..., Any], *args: Any, **options: Any) -> Any:
        there.add(
            (threading.current_thread().name.rpartition("_")[0], os.getpriority(os.PRIO_PROCESS, 0))
        )
        return does(*args, **options)

    monkeypatch.setattr(zlib, "compressobj", functools.partial(note, zlib.compressobj))
    image, pool = picture("L", 1024, 1024), EncodingPool(threads=2)
    write = functools.partial(pool.save, image, compress_level=4)
    pool.put(tmp_path / "x.png", functools.partial(note, write), prompt=1, size=1)
    assert pool.wait(tmp_path / "x.png", 60)
    pool.close()

    gives_way = min(19, here + 7)
    assert there == {("comfyfleet-encoding", gives_way), ("comfyfleet-strips", gives_way)}
    assert os.getpriority(os.PRIO_PROCESS, 0) == here


def test_a_picture_that_strips_have_no_memory_for_is_saved_as_ever(tmp_path, monkeypatch, caplog):
    compressor, strips = zlib.compressobj, itertools.count()

    def fails(*options: Any) -> Any:
        if next(strips) == 3:
            raise MemoryError("no room")
        return compressor(*options)

    monkeypatch.setattr(zlib, "compressobj", fails)
    image, path = picture("RGB", 1024, 1024), tmp_path / "x.png"
    pool = EncodingPool(threads=2)
    pool.put(path, lambda part: pool.save(image, part, compress_level=4), prompt=1, size=1)
    assert pool.wait(path, 60)
    pool.close()

    image.save(tmp_path / "pillow.png", compress_level=4)
    assert path.read_bytes() == (tmp_path / "pillow.png").read_bytes()
    assert "no room" in caplog.text


def test_what_pillow_says_of_an_empty_picture_is_told(tmp_path):
    pool = EncodingPool(threads=2)
    path = tmp_path / "x.png"
    image = Image.new("RGB", (0, 8))
    pool.put(path, lambda part: pool.save(image, part, compress_level=4), prompt=1, size=1)
    assert pool.wait(path, 60)
    assert pool.failure_of(path) == ("ValueError", "cannot write empty image")
    pool.close()


#: Puts three pictures into a pool, and ends.
_ENDS = """
from PIL import Image
from infra.companion_node.encoding_pool import EncodingPool
pool, image = EncodingPool(threads=2), Image.effect_noise((1024, 1024), 60).convert("RGB")
for name in "abc":
    path = f"{name}.png"
    pool.put(path, lambda part: pool.save(image, part, compress_level=1), prompt=1, size=1)
"""


def test_a_process_that_ends_meanwhile_ends_with_all_pictures_whole(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", _ENDS]
    subprocess.run(command, cwd=tmp_path, env=environment, timeout=60, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "c.png"]
    for path in tmp_path.iterdir():
        Image.open(path).load()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_pool_that_has_closed_saves_as_ever(tmp_path, threads):
    image, path = picture("RGB", 512, 701), tmp_path / "x.png"
    pool = EncodingPool(threads=threads)
    pool.close()
    pool.save(image, str(path), compress_level=4)
    with Image.open(path) as ours:
        assert ours.tobytes() == image.tobytes()
