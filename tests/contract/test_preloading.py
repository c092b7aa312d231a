"""Models of the next prompt, which the companion brings into the page cache."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.comfy import Comfy, wait_until

STATUS, PRELOAD = "/comfyfleet/v1/status", "/comfyfleet/v1/preload"


@pytest.fixture
def reader(node) -> Comfy:
    """The ComfyUI under test, if its companion reads ahead."""
    if not told(node):
        pytest.skip("this companion reads nothing: COMFYFLEET_COMPANION_PRELOADING")
    return node


def told(node: Comfy) -> dict[str, Any]:
    return node.get(STATUS).json()["preloading"]


def announce(node: Comfy, *names: Any) -> int:
    return node.post(PRELOAD, json={"models": names}).status_code


def test_a_listed_model_is_read(reader):
    listed = reader.get("/models/checkpoints").json()
    if not listed:
        pytest.skip("this ComfyUI has no checkpoint")
    before = told(reader)

    assert announce(reader, listed[0]) == 200

    wait_until(lambda: not told(reader)["busy"], description="it is read")
    assert told(reader)["announced"] == before["announced"] + 1
    assert told(reader)["unknown"] == before["unknown"]


@pytest.mark.parametrize(
    "name",
    ["none.safetensors", "/etc/hostname", "../../../../../../etc/hostname", "a\0b", "..", "C:\\x"],
)
def test_what_is_not_listed_is_not_read_wherever_it_leads(reader, name):
    before = told(reader)["unknown"]

    assert announce(reader, name) == 200

    wait_until(lambda: told(reader)["unknown"] == before + 1, description="it is unknown")


@pytest.mark.parametrize("names", [[7], [""], ["x"] * 65, ["x" * 1025], [["x"]]])
def test_what_is_no_list_of_names_is_a_400(reader, names):
    assert announce(reader, *names) == 400


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"models": "x"}', b"null"])
def test_another_body_is_a_400(reader, body):
    answer = reader.post(PRELOAD, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_what_a_page_in_a_browser_may_post_unasked_is_a_415(reader):
    assert reader.post(PRELOAD, data=b'{"models": []}').status_code == 415
