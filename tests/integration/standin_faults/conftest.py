"""Fixtures of the faults: a stand-in in this process, a client, and rules set over the wire."""

from __future__ import annotations

import pytest
import requests

from infra.standin.options import StandinOptions
from infra.standin.process import standin_thread
from tests.contract.comfy import Comfy
from tests.contract.graphs import picture


@pytest.fixture
def standin(tmp_path):
    with standin_thread(StandinOptions(directory=tmp_path)) as node:
        yield node


@pytest.fixture
def comfy(standin):
    with Comfy(standin.url) as known:
        yield known


@pytest.fixture
def fault(comfy):
    """Set one rule, as a test in another process would.

    By a connection of its own: the last fault may have left a kept one about to be closed.
    """

    def set_(on, do, **how):
        rule = {"on": on, "do": do, **how}
        answer = requests.post(f"{comfy.url}/standin/faults", json=[rule], timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()[0]

    return set_


@pytest.fixture
def saved(comfy):
    """What history says of a saved picture, and its bytes."""
    [file] = comfy.run(picture())["outputs"]["2"]["images"]
    return file, comfy.view(file).content
