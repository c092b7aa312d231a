"""What the companion reads ahead, and when it does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.companion_node.memory import read_memory
from infra.companion_node.preloading import Memory, Preloader, announced
from tests.polling import wait_until

GIB = 1 << 30
ROOMY = Memory(total=64 * GIB, available=32 * GIB, swapped=7)


class Machine:
    """Files by name, and memory that is as the last of what it was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory: list[Memory | None] = [ROOMY]
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def resolve(self, name: str) -> Iterator[Path]:
        assert self.gate.wait(10)
        self.asked.append(name)
        if (path := self.folder / name).exists():
            yield path

    def now(self) -> Memory | None:
        return self.memory.pop(0) if len(self.memory) > 1 else self.memory[0]


@pytest.fixture
def machine(tmp_path) -> Machine:
    (tmp_path / "a").write_bytes(bytes(5 << 20))
    (tmp_path / "b").write_bytes(b"b")
    return Machine(tmp_path)


@pytest.fixture
def preloader(machine, monkeypatch) -> Iterator[Preloader]:
    monkeypatch.setattr("infra.companion_node.preloading._SWAP_SAMPLE_S", 0)
    made = Preloader(machine.resolve, machine.now)
    yield made
    machine.gate.set()
    made.close()


def read(preloader, *names) -> dict:
    preloader.announce(names)
    wait_until(lambda: not preloader.status()["busy"], description="it has read them")
    return preloader.status()


def test_files_are_read_whole_and_each_once(preloader, machine):
    (machine.folder / "link").symlink_to(machine.folder / "a")

    told = read(preloader, "a", "b", "link", "none")

    assert (told["files"], told["bytes"], told["unknown"]) == (2, (5 << 20) + 1, 1)
    assert told["skipped"] == {"memory": 0, "swapping": 0, "failed": 0}


@pytest.mark.parametrize(
    ("memory", "why"),
    [
        ([Memory(64 * GIB, int(6.4 * GIB), 7)], "memory"),  # a tenth stays free
        ([Memory(4 * GIB, 2 * GIB, 7)], "memory"),  # so do 2 GiB of a small machine
        ([ROOMY, Memory(64 * GIB, 32 * GIB, 8)], "swapping"),
        ([ROOMY, None], "swapping"),
    ],
)
def test_nothing_is_read_where_memory_is_short_or_swapped(preloader, machine, memory, why):
    machine.memory = memory

    told = read(preloader, "a")

    assert (told["files"], told["bytes"], told["skipped"][why]) == (0, 0, 1)


def test_nothing_is_read_where_nobody_knows_of_memory(preloader, machine):
    machine.memory = [None]
    assert read(preloader, "a")["bytes"] == 0


def test_a_read_ends_as_soon_as_the_machine_swaps(preloader, machine, monkeypatch):
    monkeypatch.setattr("infra.companion_node.preloading._LOOK_EVERY_BYTES", 1 << 20)
    machine.memory = [ROOMY, ROOMY, Memory(64 * GIB, 32 * GIB, 8)]

    told = read(preloader, "a")
    assert (told["bytes"], told["skipped"]["swapping"]) == (4 << 20, 1)


def test_what_is_announced_last_is_read(preloader, machine):
    machine.gate.clear()
    preloader.announce(["a"])
    wait_until(lambda: preloader._announced is None, description="it is at it")
    preloader.announce(["none"])
    preloader.announce(["b"])
    machine.gate.set()
    wait_until(lambda: not preloader.status()["busy"], description="it has read")

    assert machine.asked == ["a", "b"]
    assert preloader.status()["bytes"] == 1


def test_what_is_no_file_is_left_and_the_next_is_read(preloader, machine):
    (machine.folder / "folder").mkdir()

    told = read(preloader, "folder", "b")
    assert (told["skipped"]["failed"], told["bytes"]) == (1, 1)


def test_an_error_of_comfyui_ends_no_thread(preloader):
    def raises(_: str) -> Iterator[Path]:
        raise FileNotFoundError("its folder has gone")

    usual, preloader._resolve = preloader._resolve, raises
    read(preloader, "a")
    preloader._resolve = usual
    assert read(preloader, "b")["bytes"] == 1


@pytest.mark.parametrize(
    "body",
    [
        *(None, [], {}),
        *({"models": found} for found in (7, [7], [""], ["x" * 1025], ["x"] * 65)),
    ],
)
def test_what_announces_nothing(body):
    assert announced(body) is None


@pytest.fixture
def proc(tmp_path) -> Path:
    (tmp_path / "meminfo").write_text("MemTotal: 64 kB\nMemFree: 1 kB\nMemAvailable:  32 kB\n")
    (tmp_path / "vmstat").write_text("nr_free_pages 9\npswpin 3\npswpout 4\n")
    return tmp_path


def test_memory_is_what_linux_says(proc):
    assert read_memory(proc, proc) == Memory(total=65536, available=32768, swapped=7)


def test_another_system_says_nothing(tmp_path):
    assert read_memory(tmp_path) is None


@pytest.mark.parametrize(
    ("limit", "total", "available"), [("max\n", 65536, 32768), ("1000\n", 1000, 450)]
)
def test_a_containers_limit_counts(proc, limit, total, available):
    (proc / "memory.max").write_text(limit)
    (proc / "memory.current").write_text("600\n")
    (proc / "memory.stat").write_text("anon 500\ninactive_file 50\n")

    assert read_memory(proc, proc) == Memory(total=total, available=available, swapped=7)
