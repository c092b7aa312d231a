"""Binaries of the embedded stack: finds its programs, by a variable or on the path."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from producer.contract.errors import FleetError


class BinaryNotFound(FleetError):
    """A program is nowhere to be found; the message names every place that was tried."""


def chosen_by(variable: str) -> Path | None:
    """Return the program that environment *variable* names, None when it is not set.

    Raises:
        BinaryNotFound: it is set, but not to a program. Another one is then not looked for:
            whoever set it wants that one.
    """
    wanted = os.environ.get(variable)
    if not wanted:
        return None
    found = shutil.which(wanted)
    if found is None:
        raise BinaryNotFound(f"{variable} is {wanted!r}, and that is not a program")
    return Path(found).absolute()


def find_on_path(*names: str) -> Path | None:
    """Return the first of *names* that is a program on PATH."""
    found = next(filter(None, map(shutil.which, names)), None)
    return Path(found).absolute() if found else None
