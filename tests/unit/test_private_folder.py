"""A folder that somebody else may have made first."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from producer.contract.errors import InvalidSettings, NodeNameTaken
from worker.node.name_lock import NameLock, node_path
from worker.node.private_folder import NotPrivate, make_private
from worker.node.spool import Spool


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The host's temporary directory, as this process sees it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_made_for_this_user_alone(tmp_path):
    for _ in range(2):
        make_private(tmp_path / "deep" / "down")
    assert (tmp_path / "deep" / "down").stat().st_mode & 0o777 == 0o700


def test_attempts_that_make_it_at_one_time_are_not_in_each_others_way(tmp_path):
    folders = [tmp_path / str(number) / "spool" for number in range(50)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make_private, [folder for folder in folders for _ in range(4)]))
    assert all(folder.is_dir() for folder in folders)


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "victim")
    with pytest.raises(NotPrivate, match="is a link"):
        make_private(tmp_path / "folder")
    spool = Spool(tmp_path / "folder", node="gpu-01")
    assert "is a link" in spool.problem()
    assert not list((tmp_path / "victim").iterdir())


def test_a_folder_that_others_may_write_to_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(0o777)
    with pytest.raises(NotPrivate, match="chmod go-w"):
        make_private(tmp_path / "folder")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_folder_is_refused(tmp_path):
    (tmp_path / "folder").mkdir(mode=0o700)
    os.chown(tmp_path / "folder", 12_345, 12_345)
    with pytest.raises(NotPrivate, match="belongs to user 12345"):
        make_private(tmp_path / "folder")


def test_a_lock_file_that_is_a_link_overwrites_nothing(temporary):
    victim = temporary / "victim"
    victim.write_text("precious")
    lock = node_path("gpu-01", fleet="here", suffix=".lock")
    make_private(lock.parent)
    lock.symlink_to(victim)
    with pytest.raises(InvalidSettings, match="gpu-01"):
        NameLock("gpu-01", fleet="here")
    assert victim.read_text() == "precious"


@pytest.mark.usefixtures("temporary")
def test_a_name_has_one_holder_who_is_told_of():
    with (
        NameLock("gpu-01", fleet="here"),
        pytest.raises(NodeNameTaken, match=f"process {os.getpid()} on this host"),
    ):
        NameLock("gpu-01", fleet="here")
    NameLock("gpu-01", fleet="here").close()
