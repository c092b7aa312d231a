"""Environments of the processes that we start."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Final

_LOOPBACK: Final = "127.0.0.1,localhost,::1"

#: What a server needs to find its libraries; anything else could only surprise it, such as a
#: proxy, an AWS profile or a WEED_ setting.
_SERVERS_KEEP: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def for_server(settings: Mapping[str, str]) -> dict[str, str]:
    """Return a bare environment with *settings*, for Redis and S3."""
    kept = {name: os.environ[name] for name in _SERVERS_KEEP if name in os.environ}
    return {**kept, "LC_ALL": "C", **settings}


def for_python(settings: Mapping[str, str], *, without: Iterable[str] = ()) -> dict[str, str]:
    """Return our own environment with *settings*, for stand-in nodes and workers."""
    dropped = set(without)
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    # Unbuffered, so that the log of a process that is killed holds its last line.
    return {**kept, "PYTHONUNBUFFERED": "1", **settings}


def without_proxy() -> dict[str, str]:
    """Return settings that keep a child off a proxy for addresses of this machine."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    value = f"{named},{_LOOPBACK}" if named else _LOOPBACK
    return {"no_proxy": value, "NO_PROXY": value}
