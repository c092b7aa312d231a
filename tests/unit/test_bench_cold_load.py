"""When the benchmark of cold loads holds, that a file which it takes for cold is, and what a slow disk is."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import time

import pytest

from tests.bench.cold_load import case_of
from tests.bench.page_cache import NotCold, drop, resident
from tests.bench.slow_disk import slow_disk


@pytest.mark.parametrize(("announced", "holds"), [(1.9, True), (2.0, True), (2.1, False)])
def test_it_holds_where_the_first_step_comes_twice_as_early(announced, holds):
    assert case_of("x", cold=4.0, held=1.8, announced=announced).holds is holds


@pytest.fixture
def file(tmp_path):
    """A file that the page cache may forget."""
    found = subprocess.run(
        ["stat", "-f", "-c", "%T", tmp_path], check=True, capture_output=True, text=True
    )
    if found.stdout.strip() in {"tmpfs", "ramfs"}:
        pytest.skip("temporary files lie in memory here")
    return tmp_path / "model"


def test_a_file_is_cold_once_it_was_dropped_and_warm_once_it_was_read(file):
    file.write_bytes(b"x" * (64 << 20))

    drop(file)
    assert resident(file) <= 0.01
    assert resident(file) <= 0.01  # a look brings nothing of it there
    file.read_bytes()
    assert resident(file) == 1


def test_a_file_that_stays_in_memory_is_not_taken_for_cold(file):
    file.write_bytes(b"x" * (1 << 20))
    with (
        file.open("r+b") as opened,
        mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped,
    ):
        assert len(bytes(mapped)) == 1 << 20  # each page of it is mapped by now
        with pytest.raises(NotCold):
            drop(file)


def test_a_slow_disk_needs_its_program(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(SystemExit, match="bindfs, which is not on PATH"),
        slow_disk(tmp_path, mb_s=1),
    ):
        pass


def test_a_slow_disk_that_cannot_be_mounted_says_why(tmp_path, monkeypatch):
    program = tmp_path / "bindfs"
    program.write_text("#!/bin/sh\necho fuse: device not found; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(SystemExit, match="fuse: device not found"), slow_disk(tmp_path, mb_s=1):
        pass


@pytest.mark.skipif(
    not (shutil.which("bindfs") and os.access("/dev/fuse", os.W_OK)), reason="no bindfs, or no FUSE"
)
def test_a_slow_disk_is_slow_once_and_read_only(tmp_path):
    """What was read stays in the page cache when it is opened anew, as it does of a disk."""
    model = tmp_path / "model"
    model.write_bytes(b"x" * (40 << 20))
    with slow_disk(tmp_path, mb_s=20):
        drop(model)
        began = time.perf_counter()
        assert len(model.read_bytes()) == 40 << 20
        assert time.perf_counter() - began > 1.2  # bindfs lets half a second's bytes pass at first
        assert resident(model) > 0.9
        drop(model)
        with pytest.raises(OSError, match="Read-only"):
            (tmp_path / "other").touch()
    (tmp_path / "other").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]
