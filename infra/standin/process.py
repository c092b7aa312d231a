"""Process or thread with a stand-in node, for code without an event loop; the process can be killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from infra.standin.loop_thread import LoopThread
from infra.standin.options import StandinOptions
from infra.standin.server import Standin

_READY = "standin ready on "
_TIMEOUT_S = 10.0


@contextmanager
def standin_thread(options: StandinOptions) -> Iterator[Standin]:
    """Run a stand-in in a background thread while the block runs."""
    node = Standin(options)
    with LoopThread("standin") as loop:
        loop.run(node.start())
        try:
            yield node
        finally:
            loop.run(node.stop())


class StandinProcess:
    """A stand-in in a process of its own, which tests may kill.

    ``arguments`` are those of ``python -m infra.standin`` beside ``--dir`` and ``--port``.

    Raises:
        RuntimeError: it did not start.
    """

    def __init__(self, directory: Path, *arguments: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "infra.standin", "--dir", str(directory)]
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            [*command, "--port", str(port), *arguments], stdout=subprocess.PIPE, text=True
        )
        self.url = self._wait_ready()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process and wait for it."""
        self.process.terminate()
        try:
            self.process.wait(_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def _wait_ready(self) -> str:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line.startswith(_READY):
            self.stop()
            raise RuntimeError(f"the stand-in did not start, exit code {self.process.returncode}")
        return line.removeprefix(_READY).strip()
