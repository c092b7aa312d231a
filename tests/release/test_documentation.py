"""Every command and every Python block of the documentation does what it shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks, pages
from tests.docs.reader import Reader
from tests.graphs import picture
from tests.polling import wait_until

#: What a reader has in the folder where the pages are followed, beside the repository.
_LINKS = ("infra", "docs")
_GRAPH = ROOT / "infra/samples/text_to_image.json"


@pytest.fixture(scope="module")
def commands(tmp_path_factory) -> Iterator[Path]:
    """A folder that holds the command `comfyfleet`."""
    folder = tmp_path_factory.mktemp("bin")
    server = [sys.executable, "-m", "tests.docs.preloaded", str(folder / "socket")]
    command = folder / "comfyfleet"
    caller = ROOT / "tests/docs/preloaded.py"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -SE {caller} {folder}/socket "$@"\n')
    command.chmod(0o755)
    with subprocess.Popen(server, stdin=subprocess.PIPE, cwd=ROOT) as process:
        wait_until((folder / "socket").exists, description="the command is loaded")
        yield folder
        process.stdin.close()


@pytest.fixture
def reader(stack, commands, tmp_path, monkeypatch) -> Reader:
    """Somebody with a graph, a picture and a fleet."""
    for name in _LINKS:
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(_GRAPH, tmp_path / "graph.json")
    (tmp_path / "photo.png").write_bytes(picture())
    for name, value in stack.settings_env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    return Reader(tmp_path, os.environ)


@pytest.mark.parametrize("page", [page for page in pages() if blocks(page)])
def test_a_page_works_as_it_is_written(page, reader):
    for block in blocks(page):
        reader.follow(block)
