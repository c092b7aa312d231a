"""Standard streams as a shell may hand them over: closed, full, or of an encoding that lacks letters."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Final, TextIO

#: What says that whoever takes the output has no room for it. A pipe that nobody reads is typer's to answer.
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


def make_writable() -> None:
    """Let text be written that the encoding lacks, as `\\xfc`, and what is closed take what nobody wants."""
    sys.stdout = _writable(sys.stdout)
    sys.stderr = _writable(sys.stderr)


def give_up_stdout() -> None:
    """Write nothing more to stdout, nor what waits there, which Python would try at the end and tell in a traceback."""
    sys.stdout = _nobody()


def _writable(stream: TextIO | None) -> TextIO:
    if stream is None:
        return _nobody()
    if reconfigure := getattr(stream, "reconfigure", None):
        reconfigure(errors="backslashreplace")
    return stream


def _nobody() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")
