"""Rows of a batch as a caller hands them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from producer.contract.errors import InvalidJob
from producer.intake.files import InputLike


@dataclass(frozen=True)
class Row:
    """What one job of a batch sets for itself; a mapping alone stands for its params.

    Args:
        params: values by address, as of `Producer.submit`; they override those that all rows share.
        inputs: files by address.
        metadata: texts by name, kept in the job's record.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, InputLike] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


#: A row, its params alone, or the error with which it could not be read.
RowLike = Row | Mapping[str, Any] | InvalidJob


def as_row(given: object) -> Row:
    """Return *given* as a `Row`; a mapping is taken as its params.

    Raises:
        InvalidJob: it is neither.
    """
    if isinstance(given, Mapping):
        return Row(params=given)
    if not isinstance(given, Row):
        raise _no_row(f"a row must be a mapping or a Row, not {type(given).__name__}")
    for name in ("params", "inputs", "metadata"):
        if not isinstance(part := getattr(given, name), Mapping):
            raise _no_row(f"the {name} of a row must be a mapping, not {type(part).__name__}")
    return given


def _no_row(why: str) -> InvalidJob:
    return InvalidJob(why, field="params.")
