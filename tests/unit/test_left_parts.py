"""Part files that a killed ComfyUI has left, and those that somebody is about to finish."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from infra.companion_node.encoding_pool import PART_NAME
from infra.companion_node.left_parts import remove_left


@pytest.fixture
def began() -> float:
    return time.time() - 1


def part(folder: Path, *, age_s: float, number: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{PART_NAME}77-{number}.png"
    path.write_bytes(b"half")
    written = time.time() - age_s
    os.utime(path, (written, written))
    return path


def test_what_a_killed_node_left_goes_wherever_it_lies_and_its_empty_folder_of_ours(
    tmp_path, began
):
    of_attempt = part(tmp_path / "comfyfleet" / "job-1" / "deep", age_s=100)
    of_user = part(tmp_path / "theirs", age_s=100)
    at_top = part(tmp_path, age_s=100)
    whole = tmp_path / "theirs" / "x_00001_.png"
    whole.write_bytes(b"whole")

    assert remove_left(tmp_path, began=began, pause=pytest.fail) == 3

    assert not any(path.exists() for path in (of_attempt, of_user, at_top))
    assert [path.name for path in (tmp_path / "comfyfleet").iterdir()] == []
    assert whole.exists()
    assert (tmp_path / "theirs").is_dir()


def test_what_was_written_a_moment_ago_is_looked_at_once_more(tmp_path, began):
    left, goes_on, finished = (part(tmp_path, age_s=5, number=number) for number in (1, 2, 3))
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        os.utime(left, (0, 0))  # that it is old by now takes no minute here
        os.utime(goes_on)
        finished.rename(tmp_path / "whole.png")

    assert remove_left(tmp_path, began=began, pause=pause) == 1

    assert len(pauses) == 1
    assert not left.exists()
    assert goes_on.exists()
    assert (tmp_path / "whole.png").exists()


def test_what_is_younger_than_this_comfyui_is_its_own(tmp_path):
    own = part(tmp_path, age_s=100)

    assert remove_left(tmp_path, began=time.time() - 200, pause=pytest.fail) == 0
    assert own.exists()


def test_links_are_not_followed(tmp_path, began):
    elsewhere = part(tmp_path / "elsewhere", age_s=100)
    top = tmp_path / "output"
    top.mkdir()
    (top / "link").symlink_to(elsewhere.parent)
    (top / elsewhere.name).symlink_to(elsewhere)

    assert remove_left(top, began=began, pause=pytest.fail) == 0
    assert elsewhere.exists()


def test_a_folder_that_is_not_there_has_none(tmp_path, began):
    assert remove_left(tmp_path / "none", began=began, pause=pytest.fail) == 0
