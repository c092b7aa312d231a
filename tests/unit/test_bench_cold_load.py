"""When the benchmark of cold loads holds, and that a file which it takes for cold is."""

from __future__ import annotations

import mmap
import subprocess

import pytest

from tests.bench.cold_load import case_of
from tests.bench.page_cache import NotCold, drop, resident


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
