"""Own modules: makes the `comfyfleet` command, and processes that it starts, import this installation.

A backend may have a package `worker` or `infra`, or a file `celery_config.py`, of its own, and
PYTHONPATH may name its folder. In these processes such names are imported from this installation,
whatever the path.

    python -P …/producer/own_modules.py MODULE ARGUMENT…      as `python -m MODULE`, so imported
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
    """Finds this installation's top-level modules before the path is searched."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,  # noqa: ARG002 - part of the import system's call
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(HOME)], target) if name in _OURS else None


def started(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line of a process that runs *module* of this installation.

    It runs this file by its path, since -m would search PYTHONPATH first; -P leaves its folder off the path.
    """
    return (sys.executable, "-P", str(Path(__file__).resolve()), module, *arguments)


def prefer_own() -> None:
    """Import this installation's modules from here on, for the rest of the process."""
    if not any(isinstance(finder, _OwnModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OwnModules())


if __name__ == "__main__":
    prefer_own()
    try:
        runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:  # before the module could answer it
        raise SystemExit(130) from None
