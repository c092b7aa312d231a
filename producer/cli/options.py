"""What commands read from their arguments and options alike."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from producer.contract.errors import InvalidGraph, InvalidJob
from producer.file_intake import InputLike


def read_graph(graph: str) -> bytes:
    """Return a graph's file; `-` is standard input.

    Raises:
        InvalidGraph: it cannot be read.
    """
    if graph == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(graph).read_bytes()
    except OSError as exc:
        raise InvalidGraph(f"{graph} cannot be read: {exc.strerror}", field="graph") from exc


def as_inputs(texts: Sequence[str]) -> dict[str, InputLike]:
    """Read what `--input` was given."""
    return dict(as_pairs(texts, option="--input"))


def as_pairs(texts: Sequence[str], *, option: str) -> dict[str, Any]:
    """Read what an option of the form NAME=VALUE was given.

    Raises:
        InvalidJob: one of them has no `=`.
    """
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InvalidJob(f"{option} {text!r} has no '='; expected NAME=VALUE", field=option)
        pairs[name] = value
    return pairs


def as_duration(seconds: float | None, *, option: str) -> timedelta | None:
    """Read an option that counts seconds.

    Raises:
        InvalidJob: it is no number that a time can have, as in nan, inf or 1e14.
    """
    try:
        return None if seconds is None else timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        raise InvalidJob(
            f"{option} {seconds:g} is no length of time; expected seconds", field=option
        ) from None
