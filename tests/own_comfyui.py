"""A real ComfyUI of one's own, which may be killed: its sources, and a folder that holds nothing but what it needs here.

    COMFYUI_DIR=… COMFYUI_PYTHON=… python -m tests.own_comfyui [--bare]

keeps one until Ctrl-C and prints what the contract suite takes. `COMFYUI_DIR` names the sources of 0.3.64 to 0.33.0,
`COMFYUI_PYTHON` the interpreter that has their requirements; it runs on the CPU.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import requests

from infra.local.ports import choose_ports
from tests.polling import wait_until
from tests.processes import is_running

SOURCES: Final = os.environ.get("COMFYUI_DIR")
PYTHON: Final = os.environ.get("COMFYUI_PYTHON", sys.executable)

_ROOT: Final = Path(__file__).parents[1]
_COMPANION: Final = _ROOT / "infra/companion_node"
_CUSTOM_NODES: Final = _ROOT / "tests/contract/custom_nodes"
#: A CPU alone imports ComfyUI within so long, s.
_STARTS_WITHIN_S: Final = 300.0


class OwnComfyUI:
    """One ComfyUI with the graph nodes of the contract tests, and the companion of this checkout.

    Args:
        folder: for its models, inputs, outputs and log; made if need be.
        companion: whether it has that.
        environment: beside that of this process.
    """

    def __init__(
        self,
        folder: Path,
        *,
        companion: bool = True,
        environment: Mapping[str, str] | None = None,
        sources: Path | None = None,
    ) -> None:
        self.folder = folder
        self._sources = sources or Path(SOURCES or "")
        self._environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}
        port = choose_ports(["comfyui"], {})["comfyui"]
        self.url = f"http://127.0.0.1:{port}"
        self._command = [PYTHON, "main.py", "--cpu", "--disable-auto-launch", "--port", str(port)]
        self._command += ["--base-directory", str(folder)]
        self._command += ["--database-url", f"sqlite:///{folder}/db.sqlite"]
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("models/checkpoints", "input", "output", "temp", "user", "custom_nodes"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._copy_custom_nodes(companion=companion)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def output(self) -> Path:
        """The folder that it saves in."""
        return self.folder / "output"

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints."""
        return self.folder / "models" / "checkpoints"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and return when it serves."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._sources,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._serves, description="ComfyUI serves", within_s=_STARTS_WITHIN_S)

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """End it in order, or by force where that takes long."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def slow_disk(self, seconds: float) -> None:
        """Have each picture wait so long before it is written, from now on."""
        said = self.folder / "slow_disk"
        fresh = said.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.replace(said)

    def _serves(self) -> bool:
        assert is_running(self.pid), (self.folder / "log").read_text()[-2000:]
        try:
            return requests.get(f"{self.url}/system_stats", timeout=5).ok
        except requests.RequestException:
            return False

    def _copy_custom_nodes(self, *, companion: bool) -> None:
        target = self.folder / "custom_nodes"
        wanted = [*_CUSTOM_NODES.iterdir(), *([_COMPANION] if companion else [])]
        for source in wanted:
            shutil.rmtree(target / source.name, ignore_errors=True)
            shutil.copytree(source, target / source.name)
        own = self._sources / "custom_nodes/websocket_image_save.py"  # comes with ComfyUI
        if own.exists():
            shutil.copy(own, target)


def main() -> None:
    """Keep one until it is interrupted."""
    with (
        tempfile.TemporaryDirectory(prefix="comfyfleet-comfyui-") as folder,
        OwnComfyUI(Path(folder), companion="--bare" not in sys.argv[1:]) as node,
    ):
        print(f"COMFYUI_URL={node.url} COMFYUI_OUTPUT_DIR={node.output}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
