"""Rows of a batch as a caller hands them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from producer.contract.errors import InvalidJob
from producer.contract.graph.json_values import printable
from producer.contract.near_names import near_names
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


#: Parts of a row that is a JSON object; `set` is another word for `params`.
_PARTS: Final = ("params", "set", "inputs", "metadata")

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


def row_of_json(found: Any) -> RowLike:
    """Return the row that a JSON value is: an object of params by address, or of the parts of a row.

    An address has a dot, so whatever has a part's name is of the second kind.
    """
    if not isinstance(found, dict):
        return _no_row("it is no JSON object")
    if found.keys().isdisjoint(_PARTS):
        return found
    for name, part in found.items():
        if name not in _PARTS:
            near = next(iter(near_names(name, _PARTS, count=1)), None)
            meant = f"did you mean {near!r}? A" if near else "a"
            return _no_row(
                f"it has {printable(name)} beside the parts of a row; {meant} row is an object of params by "
                f"address, or of {', '.join(_PARTS)}"
            )
        if not isinstance(part, dict):
            return _no_row(f"its {name!r} is no JSON object")
    if "params" in found and "set" in found:
        return _no_row("it has 'params' and 'set', which are the same")
    params: dict[str, Any] = found["params"] if "params" in found else found.get("set", {})
    return Row(params, found.get("inputs", {}), found.get("metadata", {}))


def _no_row(why: str) -> InvalidJob:
    return InvalidJob(why, field="params.")
