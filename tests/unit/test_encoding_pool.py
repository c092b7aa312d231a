"""The companion's pool, which writes pictures whose names were given before."""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from infra.companion_node.encoding_pool import EncodingPool
from infra.companion_node.saving import count_names, lend_pictures
from infra.companion_node.settings import Settings
from tests.polling import wait_until

LONG_S = 10.0


class Gate:
    """Writers that hold their files back until they are let through."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def write(self, part: str) -> None:
        assert self.open.wait(LONG_S)
        Path(part).write_bytes(b"whole")


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def pool(gate) -> Iterator[EncodingPool]:
    """A pool of one thread that two prompts may use, with 100 bytes of pixels."""
    made = EncodingPool(threads=1, most_prompts=2, most_bytes=100)
    yield made
    gate.open.set()
    made.close()


def blocks(pool, gate, path, **put) -> bool:
    """Tell whether a put waits until the gate opens, and is done then."""
    with ThreadPoolExecutor(1) as other:
        done = other.submit(pool.put, path, gate.write, **{"size": 1, **put})
        is_blocked = not wait_briefly(done)
        gate.open.set()
        done.result(LONG_S)
        return is_blocked


def wait_briefly(done) -> bool:
    try:
        done.result(0.1)
    except TimeoutError:
        return False
    return True


def test_a_name_is_known_until_its_file_is_there_and_whole(pool, gate, tmp_path):
    path = tmp_path / "a" / "x_00001_.png"
    pool.put(path, gate.write, prompt=1, size=1)

    assert pool.is_waiting(path)
    assert pool.names() == [path]
    assert not pool.wait(path, 0.05)
    assert not path.exists()
    gate.open.set()
    assert pool.wait(path, LONG_S)
    assert path.read_bytes() == b"whole"
    assert (pool.names(), pool.future_of(path), list(path.parent.iterdir())) == ([], None, [path])


def test_a_third_prompt_waits_for_a_place_and_a_second_picture_of_one_does_not(
    pool, gate, tmp_path
):
    for prompt, name in ((1, "a"), (2, "b"), (1, "c")):
        pool.put(tmp_path / name, gate.write, prompt=prompt, size=1)

    assert blocks(pool, gate, tmp_path / "d", prompt=3)
    assert pool.status()["blocked_s"] > 0.05


def test_pixels_wait_within_their_bytes_but_one_picture_may_have_more(pool, gate, tmp_path):
    pool.put(tmp_path / "a", gate.write, prompt=1, size=101)

    assert blocks(pool, gate, tmp_path / "b", prompt=1)


def test_a_file_of_the_same_name_is_written_after_the_other(pool, gate, tmp_path):
    pool.put(tmp_path / "a", gate.write, prompt=1, size=1)

    assert blocks(pool, gate, tmp_path / "a", prompt=1)


def test_a_file_that_cannot_be_written_is_told_and_leaves_nothing(pool, tmp_path):
    path = tmp_path / "a.png"

    def fails(part: str) -> None:
        Path(part).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), part)

    pool.put(path, fails, prompt=1, size=1)

    assert pool.wait(path, LONG_S)
    kind, message = pool.failure_of(path)
    assert (kind, str(path) in message, "No space left" in message) == ("OSError", True, True)
    assert not list(tmp_path.iterdir())
    assert pool.names() == [path]  # or a later prompt's picture would stand for it
    assert pool.status()["failed"] == 1


def test_a_folder_that_leaves_meanwhile_is_made_again(pool, tmp_path):
    path = tmp_path / "a" / "x.png"
    tries = []

    def write(part: str) -> None:
        tries.append(part)
        if len(tries) == 1:
            path.parent.rmdir()
        Path(part).write_bytes(b"whole")

    pool.put(path, write, prompt=1, size=1)

    assert pool.wait(path, LONG_S)
    assert path.read_bytes() == b"whole"


def test_a_name_that_failed_may_be_written_after_all(pool, gate, tmp_path):
    pool.put(tmp_path / "a", lambda _: 1 / 0, prompt=1, size=1)
    pool.wait(tmp_path / "a", LONG_S)
    gate.open.set()
    pool.put(tmp_path / "a", gate.write, prompt=1, size=1)
    pool.wait(tmp_path / "a", LONG_S)

    assert pool.failure_of(tmp_path / "a") is None


def test_what_is_dropped_is_not_written_and_what_has_begun_is_waited_for(pool, gate, tmp_path):
    begun, waits = tmp_path / "a", tmp_path / "b"
    pool.put(begun, gate.write, prompt=1, size=1)
    wait_until(lambda: pool.future_of(begun).running(), description="it is written")
    pool.put(waits, gate.write, prompt=1, size=1)

    assert pool.drop(waits, LONG_S)
    assert not pool.drop(begun, 0.05)
    assert pool.is_waiting(begun)
    gate.open.set()
    assert not pool.drop(begun, LONG_S)
    assert (begun.exists(), waits.exists(), pool.names()) == (True, False, [])


def test_a_link_to_the_folder_makes_no_other_file(pool, gate, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    pool.put(tmp_path / "link" / "a", gate.write, prompt=1, size=1)

    assert pool.is_waiting(tmp_path / "real" / "a")


def saver_module(name, saver="save"):
    """A module as ComfyUI's `nodes.py`, whose caller is called *name*."""
    nodes = {"Image": Image, "__name__": "nodes"}
    exec(
        "def save(size, pixels, path, **options):\n"
        "    made = Image.frombytes('RGB', size, pixels)\n"
        "    width = made.width\n"
        "    made.save(path, **options)\n"
        "    return width\n"
        "def save_and_use(size, pixels, path, then):\n"
        "    made = Image.frombytes('RGB', size, pixels)\n"
        "    made.save(path)\n"
        "    then(made)\n",
        nodes,
    )
    caller = {"__name__": name}
    exec("def call(save, *args, **options): return save(*args, **options)", caller)
    return nodes[saver], caller["call"]


@pytest.mark.parametrize(
    ("caller", "goes_to_the_pool"), [("execution", True), ("custom_nodes.uploader", False)]
)
def test_only_where_comfyui_itself_saves_the_pool_writes(pool, tmp_path, caller, goes_to_the_pool):
    save, call = saver_module(caller)
    picture = Image.effect_noise((32, 16), 60).convert("RGB")
    lent = lend_pictures(save, maker=("Image", "frombytes"), pool=pool, prompt=lambda: "p")

    assert (
        call(lent, picture.size, picture.tobytes(), str(tmp_path / "a.png"), compress_level=4) == 32
    )
    assert pool.wait(tmp_path / "a.png", LONG_S)

    picture.save(tmp_path / "b.png", compress_level=4)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert pool.status()["written"] == goes_to_the_pool


@pytest.mark.parametrize(
    "then",
    [
        lambda made: made.paste(0, (0, 0, 5, 3)),
        lambda made: made.close(),
        lambda made: made.save(io.BytesIO(), "PNG"),
    ],
    ids=["changes it", "closes it", "saves it in another way"],
)
def test_who_goes_on_to_use_a_picture_waits_until_it_is_saved(pool, gate, tmp_path, then):
    save, call = saver_module("execution", "save_and_use")
    picture = Image.effect_noise((5, 3), 60).convert("RGB")
    lent = lend_pictures(save, maker=("Image", "frombytes"), pool=pool, prompt=lambda: "p")
    path = str(tmp_path / "a.png")
    pool.put(tmp_path / "first", gate.write, prompt="p", size=1)  # by the only thread
    with ThreadPoolExecutor(1) as other:
        done = other.submit(call, lent, picture.size, picture.tobytes(), path, then)

        assert not wait_briefly(done)
        gate.open.set()
        done.result(LONG_S)

    picture.save(tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(
    ("mode", "pixel_bytes"), [("L", 1), ("I;16", 2), ("LA", 4), ("RGB", 4), ("RGBA", 4)]
)
def test_what_waits_is_counted_by_what_pillow_keeps_of_it(pool, gate, tmp_path, mode, pixel_bytes):
    save, call = saver_module("execution")
    save.__globals__["Image"] = SimpleNamespace(frombytes=lambda *_: Image.new(mode, (5, 3)))
    lent = lend_pictures(save, maker=("Image", "frombytes"), pool=pool, prompt=lambda: 1)
    pool.put(tmp_path / "first", gate.write, prompt=1, size=1)

    call(lent, (5, 3), b"", str(tmp_path / "a.tiff"))

    assert pool.status()["waiting_bytes"] == 1 + 5 * 3 * pixel_bytes


def test_a_saver_that_makes_its_pictures_otherwise_is_not_touched(pool, tmp_path):
    save, call = saver_module("execution")
    lent = lend_pictures(save, maker=("Pillow", "open"), pool=pool, prompt=lambda: "p")

    call(lent, (2, 2), bytes(12), str(tmp_path / "a.png"))
    assert (tmp_path / "a.png").exists()
    assert pool.status()["written"] == 0


def test_when_comfyui_ends_pictures_are_saved_at_once(pool, tmp_path):
    save, call = saver_module("execution")
    pool.close()
    lent = lend_pictures(save, maker=("Image", "frombytes"), pool=pool, prompt=lambda: "p")

    call(lent, (2, 2), bytes(12), str(tmp_path / "a.png"))
    assert (tmp_path / "a.png").exists()


def test_given_names_count_before_their_files_are_there(pool, gate, tmp_path):
    count = count_names(
        lambda prefix, counter=1: (str(tmp_path), prefix, counter, "", prefix), pool
    )
    assert count("x")[2] == 1
    for name in ("x_00004_.png", "xy_00009_.png", "x_nine_.png", "x.png"):
        pool.put(tmp_path / name, gate.write, prompt=1, size=1)
    pool.put(tmp_path / "sub" / "x_00099_.png", gate.write, prompt=1, size=1)

    assert count("x") == (str(tmp_path), "x", 5, "", "x")
    assert count("x", counter=7)[2] == 7  # there are more on the disk


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"ENCODING": "0"}, (0, 1024)),
        ({"ENCODING": " Off "}, (0, 1024)),
        ({"ENCODING_THREADS": "3", "ENCODING_MB": "64"}, (3, 64)),
        ({"ENCODING": "1", "ENCODING_THREADS": "0"}, (0, 1024)),
        ({"ENCODING_THREADS": "3", "ENCODING_MB": "-1"}, (3, 1024)),
        ({"ENCODING_THREADS": "3", "ENCODING_MB": "²"}, (3, 1024)),
    ],
)
def test_the_environment_switches_it(environ, expected):
    found = Settings.read({f"COMFYFLEET_COMPANION_{name}": text for name, text in environ.items()})
    assert (found.encoding_threads, found.encoding_mb) == expected
