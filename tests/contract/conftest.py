"""Which ComfyUI the contract runs against.

Without further words: a stand-in in each of its versions. With ``COMFYUI_URL``: that server, and what
would break it is skipped. A real server needs ``custom_nodes/comfyfleet_contract`` for the claims
about sleeping and raising graph nodes; ``COMFYUI_OUTPUT_DIR`` names its output folder where it is on
this machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from tests.contract.comfy import REAL_URL, Comfy

_NODES = ["real"] if REAL_URL else ["0.33.0", "0.3.64"]
_OWN_CLASSES = (
    *("ComfyFleetSleep", "ComfyFleetDeafSleep", "ComfyFleetRaise", "ComfyFleetText"),
    *("ComfyFleetGate", "ComfyFleetFilm"),
)


@pytest.fixture(scope="session", params=_NODES)
def _served(request, tmp_path_factory) -> Iterator[tuple[Comfy, Path | None]]:
    with ExitStack() as stack:
        if REAL_URL:
            url, output = REAL_URL, os.environ.get("COMFYUI_OUTPUT_DIR")
        else:
            directory = tmp_path_factory.mktemp("standin")
            options = StandinOptions(directory=directory, version=request.param)
            url = stack.enter_context(standin_thread(options)).url
            output = directory / "output"
        yield stack.enter_context(Comfy(url)), Path(output) if output else None


@pytest.fixture
def comfy(_served) -> Iterator[Comfy]:
    """The ComfyUI under test, idle before and after."""
    known, _ = _served
    known.settle()
    yield known
    known.hang_up()
    known.settle()
    assert known.remaining() == 0


@pytest.fixture
def lab(comfy) -> Comfy:
    """The ComfyUI under test, if it has our own graph nodes."""
    missing = [name for name in _OWN_CLASSES if not comfy.has(name)]
    if missing:
        pytest.skip(f"this ComfyUI lacks tests/contract/custom_nodes: {', '.join(missing)}")
    return comfy


@pytest.fixture
def output_folder(_served) -> Path:
    """The output folder of the ComfyUI under test, to delete files in."""
    _, folder = _served
    if folder is None:
        pytest.skip("COMFYUI_OUTPUT_DIR does not say where the server's output folder is")
    return folder


@pytest.fixture(scope="session", params=_NODES)
def _companion_served(request, tmp_path_factory) -> Iterator[tuple[Comfy, Path | None]]:
    with ExitStack() as stack:
        if REAL_URL:
            url, output = REAL_URL, os.environ.get("COMFYUI_OUTPUT_DIR")
        else:
            directory = tmp_path_factory.mktemp("standin")
            options = StandinOptions(
                directory=directory, version=request.param, companion=True, encode_seconds=0.1
            )
            url = stack.enter_context(standin_thread(options)).url
            output = directory / "output"
        yield stack.enter_context(Comfy(url)), Path(output) if output else None


@pytest.fixture
def node(_companion_served) -> Iterator[Comfy]:
    """The ComfyUI under test, if it has the companion."""
    known, _ = _companion_served
    if known.get("/comfyfleet/v1/status").status_code == 404:
        pytest.skip("this ComfyUI lacks the companion: comfyfleet node install-companion")
    known.settle()
    yield known
    known.hang_up()
    known.settle()


@pytest.fixture
def folder(_companion_served) -> Path:
    """The node's output folder, if it is on this machine."""
    _, output = _companion_served
    return output or pytest.skip("COMFYUI_OUTPUT_DIR does not say where the output folder is")


@pytest.fixture
def current(comfy) -> Comfy:
    """The ComfyUI under test, if it is one of today."""
    if not comfy.is_current:
        pytest.skip(f"came after {comfy.version}")
    return comfy


@pytest.fixture(params=["0.33.0", "0.3.64"])
def doomed(request, tmp_path) -> Iterator[Comfy]:
    """A stand-in of one's own, for what would break a real server."""
    if REAL_URL:
        pytest.skip("would break a real server")
    options = StandinOptions(directory=tmp_path, version=request.param)
    with standin_thread(options) as node, Comfy(node.url) as known:
        yield known
