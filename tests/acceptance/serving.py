"""Workers that a test starts, hurts and ends itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local.stack import LocalStack
from producer.client import Producer
from producer.contract.nodes import NodeState
from tests.polling import wait_until


@dataclass(frozen=True)
class Serving:
    """Starts workers for one node; a test has a pool of its own for them."""

    stack: LocalStack
    fleet: Producer
    comfyui: str
    logs: Path

    @contextmanager
    def __call__(
        self, name: str, pool: str, *options: str, **environment: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Have a worker from when it is ready until the block's end, when it is killed."""
        with self.begun(name, pool, *options, **environment) as process:
            wait_until(lambda: is_ready(self.fleet, name), description=f"{name} is ready")
            yield process

    @contextmanager
    def begun(
        self, name: str, pool: str, *options: str, **environment: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Have a worker from when its process begins until the block's end, when it is killed."""
        command = ("-m", "worker", "--comfyui", self.comfyui, "--name", name, "--pool", pool)
        with (
            self.log(name).open("a") as log,
            subprocess.Popen(
                [sys.executable, *command, *options],
                env={**os.environ, **self.stack.settings_env, **environment},
                stdout=log,
                stderr=log,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    def log(self, name: str) -> Path:
        """Return where a worker's log is."""
        return self.logs / f"{name}.log"


def is_ready(fleet: Producer, name: str) -> bool:
    """Tell whether the fleet knows the node as ready."""
    return any(n.name == name and n.state is NodeState.READY for n in fleet.nodes())
