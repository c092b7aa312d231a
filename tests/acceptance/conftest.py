"""A whole fleet of real processes for the stories of this ring."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from infra.local.stack import LocalStack, Options
from infra.standin.process import StandinProcess
from producer.client import Producer
from producer.contract.config.settings import load_settings
from tests.acceptance.serving import Serving

#: Long enough for a worker to start on a busy machine, before it would be given up.
_SETTINGS = {
    "COMFYFLEET_LEASE_S": "10",
    "COMFYFLEET_RENEW_S": "2",
    "COMFYFLEET_SWEEP_S": "0.3",
    "COMFYFLEET_NODE_PROGRESS_S": "6",
    "COMFYFLEET_NODE_CANARY_S": "2",
    "COMFYFLEET_NODE_QUARANTINE_S": "2",
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory) -> Iterator[LocalStack]:
    """Redis, S3, two stand-in nodes, and a worker for each."""
    options = Options(
        state_dir=tmp_path_factory.mktemp("fleet"), standin_arguments=("--step-seconds", "0.01")
    )
    with ExitStack() as exits:
        with _quick():
            stack = exits.enter_context(LocalStack(options))
        yield stack


@pytest.fixture(scope="module", autouse=True)
def quick_workers() -> Iterator[None]:
    """Let what the stories of one file start be quick, and leave other rings alone."""
    with _quick():
        yield


@contextmanager
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _SETTINGS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def fleet(stack) -> Iterator[Producer]:
    """The library, in the tests' own process."""
    with Producer(load_settings(**stack.settings)) as producer:
        yield producer


@pytest.fixture
def node(tmp_path) -> Iterator[StandinProcess]:
    """A node of one's own, without a worker yet."""
    with StandinProcess(tmp_path / "node") as process:
        yield process


@pytest.fixture
def serve(stack, fleet, node, tmp_path) -> Serving:
    """Start workers for that node."""
    return Serving(stack, fleet, node.url, tmp_path)


@pytest.fixture
def comfyfleet(stack, tmp_path):
    """Run the command as a person does, in another process and an empty folder."""

    def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).with_name("comfyfleet")), *args],
            cwd=tmp_path,
            env={**os.environ, **stack.settings_env, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
