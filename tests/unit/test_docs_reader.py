"""Whoever follows the pages in the tests sees what does not work, and where it stands."""

from __future__ import annotations

import os
import traceback

import pytest

from tests.docs.blocks import Block
from tests.docs.reader import Reader


@pytest.fixture
def reader(tmp_path, monkeypatch) -> Reader:
    monkeypatch.chdir(tmp_path)
    return Reader(tmp_path, os.environ)


def block(language: str, source: str, *, title: str = "", not_run: str = "") -> Block:
    return Block("page.md", 7, language, title, not_run, source)


def test_what_a_block_sets_the_next_one_has(reader):
    reader.follow(block("sh", "job=4711\n"))
    reader.follow(block("console", "$ echo job $job\njob 4711\n"))
    reader.follow(block("python", "job = 4711\n"))
    reader.follow(block("python", "assert job == 4711\n"))


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("sh", "true\nfalse\ntrue\n"),
        ("sh", "echo $never_set\n"),
        ("console", "$ echo one\ntwo\n"),
        ("console", "$ echo one\none\n$ echo two\n"),
        ("python", "assert False\n"),
        ("json", "{'a': 1}"),
        ("toml", "a = \n"),
        ("brainfuck", "+++"),
    ],
)
def test_what_does_not_work_is_seen(reader, language, source):
    with pytest.raises((AssertionError, ValueError)):
        reader.follow(block(language, source))


def test_a_failure_names_the_line_of_the_page(reader):
    with pytest.raises(ZeroDivisionError) as failed:
        reader.follow(block("python", "zero = 0\n1 / zero\n"))
    assert traceback.extract_tb(failed.tb)[-1][:2] == ("page.md", 8)


def test_a_titled_block_is_a_file_of_that_name_in_the_readers_folder(reader, tmp_path):
    reader.follow(block("csv", "a,b\n", title="/etc/fleet/rows.csv"))
    assert (tmp_path / "rows.csv").read_text() == "a,b\n"


def test_a_block_that_cannot_run_leaves_nothing(reader, tmp_path):
    reader.follow(block("sh", "touch there\n", title="script", not_run="it needs a GPU"))
    assert list(tmp_path.iterdir()) == []
