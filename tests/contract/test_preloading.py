"""Models of the next prompt, which the companion brings into the page cache."""

from __future__ import annotations

import time
from typing import Any

import pytest

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from tests.contract.comfy import REAL_URL, Comfy, fresh, wait_until
from tests.graphs import rendering

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


def test_a_model_that_was_announced_is_loaded_twice_as_fast(tmp_path):
    if REAL_URL:
        pytest.skip("a real one's page cache is not ours to drop")
    options = StandinOptions(
        directory=tmp_path, companion=True, cold_seconds=1.5, load_seconds=0.05, step_seconds=0
    )
    with standin_thread(options) as served, Comfy(served.url) as node:
        cold_s, again_s, warm_s = (
            loaded_in(node, "sd_xl_base_1.0.safetensors"),
            loaded_in(node, "sd_xl_base_1.0.safetensors"),
            announced_and_loaded_in(node, "v1-5-pruned-emaonly.safetensors"),
        )
    assert again_s < cold_s / 2  # it is in memory
    assert warm_s < cold_s / 2


def announced_and_loaded_in(node: Comfy, model: str) -> float:
    assert announce(node, model) == 200
    wait_until(lambda: not told(node)["busy"], description="it is read")
    return loaded_in(node, model)


def loaded_in(node: Comfy, model: str) -> float:
    began = time.monotonic()
    node.run(rendering(model, seed=fresh()))
    return time.monotonic() - began
