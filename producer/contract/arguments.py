"""Arguments of the library's calls, checked for their types: ids, durations and artifacts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, TypeVar

from producer.contract.errors import InvalidJob

T = TypeVar("T")

_NAMES: Final = {str: "text", timedelta: "a timedelta"}

#: How a value of a type is written, for who gave another one.
_ADVICE: Final = {
    str: "a record has it as `.id`",
    timedelta: "as timedelta(seconds=30)",
}


def checked(value: Any, kind: type[T], *, field: str) -> T:
    """Return an argument that is of the type it should be of.

    Raises:
        InvalidJob: it is not; names *field*.
    """
    if isinstance(value, kind):
        return value
    expected = _NAMES.get(kind, kind.__name__)
    raise InvalidJob(
        f"{field} must be {expected}, not {type(value).__name__}",
        field=field,
        advice=_ADVICE.get(kind),
    )
