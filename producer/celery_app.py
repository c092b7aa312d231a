"""Celery app of this installation, also where the path has another `celery_config.py`.

The app is made in `celery_config.py`, beside the package `producer`. If a backend's own file of that
name comes first on the path, this one is loaded by its path, under another module name.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from producer.contract.errors import FleetError

_NAME: Final = "celery_config"
_ALIAS: Final = "comfyfleet_celery_config"
_FILE: Final = Path(__file__).resolve().parents[1] / f"{_NAME}.py"


@cache
def celery_app() -> Any:
    """Return the app of the `celery_config.py` that was installed with this package.

    Raises:
        FleetError: the file is missing.
    """
    if not _FILE.is_file():
        raise FleetError(
            f"{_FILE} is missing, which comes with {Path(__file__).parent}",
            advice="install comfyfleet again",
        )
    return _module().app


def _module() -> ModuleType:
    there = sys.modules.get(_NAME) or find_spec(_NAME)
    origin = getattr(there, "__file__", None) or getattr(there, "origin", None)
    if origin and Path(origin).resolve() == _FILE:
        return import_module(_NAME)
    spec = spec_from_file_location(_ALIAS, _FILE)
    assert spec is not None  # noqa: S101 - the ending says that it is Python
    assert spec.loader is not None  # noqa: S101
    module = module_from_spec(spec)
    sys.modules[_ALIAS] = module
    spec.loader.exec_module(module)
    return module
