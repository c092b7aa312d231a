"""The companion's own parts, without a ComfyUI; tests/contract/test_companion.py has its routes."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from infra.companion_node.deletion import delete
from infra.companion_node.executor import Executor


@pytest.fixture
def folders(tmp_path):
    """A node's folders, with a file of ours in each and one of another program."""
    for kind in ("output", "temp", "input"):
        (tmp_path / kind / "comfyfleet" / "job-1").mkdir(parents=True)
        (tmp_path / kind / "comfyfleet" / "job-1" / "a.png").write_bytes(b"x")
    (tmp_path / "output" / "theirs").mkdir()
    (tmp_path / "output" / "theirs" / "a.png").write_bytes(b"x")
    return {kind: tmp_path / kind for kind in ("output", "temp")}


def named(**changed):
    return {"filename": "a.png", "subfolder": "comfyfleet/job-1", "type": "output", **changed}


def files(tmp_path):
    return sorted(path for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", ["output", "temp"])
def test_a_file_goes_and_its_empty_folder_and_no_other(folders, tmp_path, kind):
    before = files(tmp_path)
    gone = folders[kind] / "comfyfleet" / "job-1" / "a.png"

    assert delete([named(type=kind)], folders) == {"deleted": 1, "missing": 0, "refused": []}
    assert files(tmp_path) == [path for path in before if path != gone]
    assert not gone.parent.exists()
    assert gone.parent.parent.exists()  # the next prompt may be about to save into it
    assert delete([named(type=kind)], folders)["missing"] == 1


def test_a_folder_with_another_file_stays(folders):
    (folders["output"] / "comfyfleet" / "job-1" / "b.png").write_bytes(b"x")
    assert delete([named()], folders)["deleted"] == 1
    assert (folders["output"] / "comfyfleet" / "job-1" / "b.png").exists()


def test_a_windows_subfolder_is_understood(folders):
    assert delete([named(subfolder="comfyfleet\\job-1")], folders)["deleted"] == 1


@pytest.mark.parametrize("subfolder", ["", "night", "night/deep"])
def test_a_file_by_a_name_of_ours_is_deleted_and_its_folder_stays(folders, subfolder):
    where = folders["output"] / subfolder
    where.mkdir(parents=True, exist_ok=True)
    (where / "comfyfleet-job-1-3-pic.png").write_bytes(b"x")

    name = named(filename="comfyfleet-job-1-3-pic.png", subfolder=subfolder)
    assert delete([name], folders) == {"deleted": 1, "missing": 0, "refused": []}
    assert where.is_dir()


@pytest.mark.parametrize(
    "file",
    [
        named(type="input"),
        named(type="../output"),
        named(subfolder="theirs"),
        named(subfolder="comfyfleet/../theirs"),
        named(subfolder="comfyfleet\\..\\theirs"),
        named(subfolder="comfyfleet/job-1/../../theirs"),
        named(subfolder="comfyfleet"),
        named(subfolder="comfyfleet/"),
        named(subfolder="comfyfleet/link"),
        named(subfolder="comfyfleet/job-1/loop"),
        named(subfolder="/comfyfleet/job-1"),
        named(subfolder="comfyfleet/job-1\0"),
        named(filename="../job-1/a.png"),
        named(filename="..\\job-1\\a.png"),
        named(filename=".."),
        named(filename=""),
        named(filename="link.png"),
        named(filename="comfyfleet-a.png", subfolder=".."),
        named(filename="comfyfleet-a.png", subfolder="theirs/../../x"),
        named(filename="comfyfleet-a.png", subfolder="/theirs"),
        named(filename="comfyfleet-a.png", subfolder="comfyfleet/link"),
        named(filename="comfyfleet-../../theirs/a.png"),
        named(filename="folder"),
        named(filename=None),
        {},
        [],
        None,
    ],
    ids=str,
)
def test_nothing_else_is_touched(folders, tmp_path, file):
    ours = folders["output"] / "comfyfleet"
    (ours / "link").symlink_to(folders["output"] / "theirs")
    (ours / "job-1" / "loop").symlink_to("loop")
    (ours / "job-1" / "link.png").symlink_to(folders["output"] / "theirs" / "a.png")
    (ours / "job-1" / "folder").mkdir()
    before = files(tmp_path)

    answer = delete([file], folders)

    assert (answer["deleted"], answer["missing"]) == (0, 0)
    assert answer["refused"][0]["reason"]
    assert files(tmp_path) == before


def test_our_folder_that_is_a_link_itself_is_left_alone(tmp_path):
    (tmp_path / "elsewhere" / "job-1").mkdir(parents=True)
    (tmp_path / "elsewhere" / "job-1" / "a.png").write_bytes(b"x")
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "comfyfleet").symlink_to(tmp_path / "elsewhere")

    assert delete([named()], {"output": tmp_path / "output"})["refused"]


def test_an_output_folder_that_is_a_link_is_followed(folders, tmp_path):
    (tmp_path / "linked").symlink_to(folders["output"])
    assert delete([named()], {"output": tmp_path / "linked"})["deleted"] == 1


def a_server(**queue):
    """Return what the companion sees of ComfyUI's server."""
    return SimpleNamespace(prompt_queue=SimpleNamespace(queue=[], **queue))


def test_the_executor_is_known_by_its_thread_and_told_dead_when_that_has_ended():
    end = threading.Event()

    def prompt_worker():
        end.wait()

    thread = threading.Thread(target=prompt_worker)
    thread.start()
    executor = Executor(a_server(currently_running={}))
    executor.find()
    alive = executor.status()["alive"]
    end.set()
    thread.join()

    assert (alive, executor.status()["alive"]) == (True, False)


def test_a_running_prompt_is_told_with_its_time():
    server = a_server(currently_running={})
    executor = Executor(server)
    executor.find()
    server.prompt_queue.currently_running[3] = (0, "the-id", {}, {}, [])

    told = executor.status()
    server.prompt_queue.currently_running.pop(3)

    assert told["prompt_id"] == "the-id"
    assert 0 <= told["running_s"] < 5
    assert executor.status()["running_s"] is None


def test_a_comfyui_of_another_make_is_not_judged():
    executor = Executor(a_server())
    executor.find()
    assert executor.status() == {
        "alive": None,
        "prompt_id": None,
        "running_s": None,
        "pending": 0,
    }
