"""Whose modules a process runs: the `comfyfleet` command and all that it starts run this installation.

A backend may have a package `worker` or `infra`, or a file `celery_config.py`, of its own, and
PYTHONPATH may name its folder. In processes of ours those names mean what was installed with this
file, wherever else they can be found.

    python -P …/producer/own_modules.py MODULE ARGUMENT…      as `python -m MODULE`, with our modules
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

HOME: Final = Path(__file__).resolve().parents[1]
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
    return (sys.executable, "-P", str(Path(__file__).resolve()), module, *arguments)


def prefer_own() -> None:
    """Have our modules' names mean this installation, for the rest of the process."""
    if not any(isinstance(finder, _OwnModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OwnModules())


if __name__ == "__main__":
    prefer_own()
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
