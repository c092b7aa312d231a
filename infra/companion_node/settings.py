"""What the companion does, by ComfyUI's environment: `COMFYFLEET_COMPANION_…`.

A value that cannot be read counts as none: a node must not fail to start by it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass

_PREFIX = "COMFYFLEET_COMPANION_"
#: What may be set, without the prefix.
NAMES = ("ENCODING", "ENCODING_THREADS", "ENCODING_MB", "PRELOADING")
_OFF = {"0", "off", "no", "false"}
_MOST_THREADS = 4

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What is switched on.

    Args:
        encoding_threads: pictures that are encoded beside the executing thread; 0 for none.
        encoding_mb: MB of pictures that may wait for it.
        preloads: whether models of the next prompt are brought into the page cache.
    """

    encoding_threads: int
    encoding_mb: int
    preloads: bool

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the `NAMES`."""
        threads = _number(
            environ, "ENCODING_THREADS", default=min(_MOST_THREADS, os.cpu_count() or 1)
        )
        return cls(
            encoding_threads=0 if _is_off(environ, "ENCODING") else threads,
            encoding_mb=_number(environ, "ENCODING_MB", default=1024),
            preloads=not _is_off(environ, "PRELOADING"),
        )


def _is_off(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(_PREFIX + name, "").strip().lower() in _OFF


def _number(environ: Mapping[str, str], name: str, *, default: int) -> int:
    text = environ.get(_PREFIX + name, "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    if text:
        _log.warning("%s%s is no whole number: %.20r; %d is used", _PREFIX, name, text, default)
    return default
