"""What the companion adds to a node (`infra/companion_node`): liveness, memory, deletion."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from tests.contract.comfy import REAL_URL, Comfy, new_id, wait_until
from tests.contract.graphs import picture, raising
from tests.contract.long_prompts import LONG, long_prompt, stop

STATUS, DELETE = "/comfyfleet/v1/status", "/comfyfleet/v1/delete"


@dataclass
class Saved:
    """A picture in a folder that no other test has."""

    node: Comfy
    file: dict[str, str]

    def is_there(self) -> bool:
        return self.node.view(self.file).status_code == 200


@pytest.fixture
def ours(node) -> Saved:
    """A picture that a job's attempt made."""
    return _saved(node, f"comfyfleet/{uuid.uuid4()}-1/3-x")


def _saved(node: Comfy, prefix: str) -> Saved:
    [file] = node.run(picture(prefix))["outputs"]["2"]["images"]
    return Saved(node, {key: file[key] for key in ("filename", "subfolder", "type")})


def status(node: Comfy) -> dict[str, Any]:
    return node.get(STATUS).json()


def delete(node: Comfy, *files: Any) -> dict[str, Any]:
    answer = node.post(DELETE, json={"files": files})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_node_without_the_companion_says_404(tmp_path):
    if REAL_URL:
        pytest.skip("says nothing of a real server")
    with standin_thread(StandinOptions(directory=tmp_path)) as node, Comfy(node.url) as plain:
        assert plain.get(STATUS).status_code == 404


def test_an_idle_node_tells_that_it_lives_and_what_memory_is_free(node):
    told = status(node)

    assert told["version"] == 1
    assert told["executor"] == {"alive": True, "prompt_id": None, "running_s": None, "pending": 0}
    for kind in ("vram", "ram"):
        assert 0 < told["memory"][f"{kind}_free"] <= told["memory"][f"{kind}_total"]
    assert node.get(f"/api{STATUS}").json().keys() == told.keys()


def test_a_busy_node_tells_since_when_the_prompt_runs_and_how_many_wait(node):
    if not node.has("ComfyFleetSleep"):
        pytest.skip("this ComfyUI lacks tests/contract/custom_nodes")
    running = long_prompt(node)
    first = status(node)["executor"]
    node.queue_prompt(picture())

    wait_until(
        lambda: (status(node)["executor"]["running_s"] or 0) > first["running_s"] + 0.1,
        description="the prompt's time goes on",
    )
    assert (first["prompt_id"], first["alive"]) == (running, True)
    assert 0 <= first["running_s"] < LONG
    assert status(node)["executor"]["pending"] == 1
    stop(node, running)
    wait_until(lambda: status(node)["executor"]["prompt_id"] is None, description="it is idle")


def test_a_dead_executor_is_told_while_http_goes_on(tmp_path):
    if REAL_URL:
        pytest.skip("would break a real server")
    options = StandinOptions(directory=tmp_path, companion=True)
    with standin_thread(options) as node, Comfy(node.url) as known:
        known.queue_prompt(raising("exit"))
        wait_until(lambda: status(known)["executor"]["alive"] is False, description="it died")


def test_a_delivered_file_is_deleted_and_may_be_asked_for_again(node, ours):
    other = _saved(node, f"{ours.file['subfolder']}/3-x")

    assert delete(node, ours.file) == {"deleted": 1, "missing": 0, "refused": []}
    assert (ours.is_there(), other.is_there()) == (False, True)
    assert delete(node, ours.file, other.file) == {"deleted": 1, "missing": 1, "refused": []}
    assert not other.is_there()


def test_a_folder_goes_with_its_last_file(node, ours, folder):
    delete(node, ours.file)

    assert not (folder / ours.file["subfolder"]).exists()
    assert (folder / "comfyfleet").exists()


def test_a_link_leads_nowhere(node, ours, folder, tmp_path):
    precious = tmp_path / "precious.png"
    precious.write_bytes(b"x")
    away = f"away-{new_id()}"  # a server that is kept keeps those of earlier runs, too
    (folder / "comfyfleet" / away).symlink_to(tmp_path)
    (folder / ours.file["subfolder"] / "link.png").symlink_to(precious)

    through_folder = {"subfolder": f"comfyfleet/{away}", "filename": precious.name}
    through_file = {"subfolder": ours.file["subfolder"], "filename": "link.png"}
    answer = delete(node, *({"type": "output", **one} for one in (through_folder, through_file)))

    assert (answer["deleted"], len(answer["refused"])) == (0, 2)
    assert precious.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"type": "input"},
        {"type": "etc"},
        {"type": None},
        {"subfolder": ""},
        {"subfolder": "comfyfleet"},
        {"subfolder": "/comfyfleet/x"},
        {"subfolder": "comfyfleet/x/../.."},
        {"subfolder": "comfyfleet/../contract"},
        {"subfolder": "contract"},
        {"subfolder": "COMFYFLEET/x"},
        {"subfolder": ["comfyfleet", "x"]},
        {"filename": ""},
        {"filename": "."},
        {"filename": ".."},
        {"filename": "../x.png"},
        {"filename": "/etc/hostname"},
        {"filename": "a\0b"},
        {"filename": 7},
    ],
    ids=str,
)
def test_what_is_not_below_our_folder_is_refused(node, ours, change):
    answer = delete(node, {**ours.file, **change}, "no object")

    assert (answer["deleted"], len(answer["refused"])) == (0, 2)
    assert answer["refused"][0]["file"] == {**ours.file, **change}
    assert answer["refused"][0]["reason"]
    assert ours.is_there()


def test_a_file_of_another_program_is_refused(node):
    theirs = _saved(node, "contract/img")

    assert delete(node, theirs.file)["refused"]
    assert theirs.is_there()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"files": {}}', b"null"])
def test_another_body_is_a_400(node, body):
    answer = node.post(DELETE, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_too_many_files_at_once_are_a_400(node):
    assert node.post(DELETE, json={"files": [{}] * 1001}).status_code == 400


def test_what_a_page_in_a_browser_may_post_unasked_is_a_415(node):
    assert node.post(DELETE, data=b'{"files": []}').status_code == 415
