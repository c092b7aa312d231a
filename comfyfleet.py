"""The way in: the `comfyfleet` command, and each process that it starts, run this installation.

A backend may have a package `worker` or `infra`, or a file `celery_config.py`, of its own, and
PYTHONPATH may name its folder. In processes of ours those names mean what was installed beside this
file, wherever else they can be found.

    python -P …/comfyfleet.py MODULE ARGUMENT…      as `python -m MODULE`, with our modules
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

HOME: Final = Path(__file__).resolve().parent
_OURS: Final = frozenset({"celery_config", "infra", "producer", "worker"})


class _OwnModules(MetaPathFinder):
    """Finds our top-level modules here, before the path is asked."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,  # noqa: ARG002 - part of the import system's call
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(HOME)], target) if name in _OURS else None


def started(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line of a process that runs *module* of this installation.

    By the path of this file, since -m would ask PYTHONPATH first; -P leaves out the folder it is in.
    """
    return (sys.executable, "-P", str(HOME / "comfyfleet.py"), module, *arguments)


def prefer_own() -> None:
    """Have our modules' names mean this installation, for the rest of the process."""
    if not any(isinstance(finder, _OwnModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OwnModules())


def main() -> None:
    """Run the `comfyfleet` command."""
    prefer_own()
    from producer.cli.main import main as command  # noqa: PLC0415 - after the names are settled

    command()


if __name__ == "__main__":
    prefer_own()
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
