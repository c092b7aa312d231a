"""What may stand in a graph: the values that JSON, UTF-8 and a ComfyUI all carry."""

from __future__ import annotations

import math
from typing import Any, Final

#: Levels below one input. Real graphs use two or three; Python's own limit is near a thousand.
_MAX_DEPTH: Final = 50
#: Python neither reads nor writes longer whole numbers (`sys.int_info.default_max_str_digits`).
_MAX_DIGITS: Final = 4_300
_TOO_LARGE: Final = 10**_MAX_DIGITS


def find_flaw(value: Any, *, depth: int = 0) -> str | None:
    """Say why *value* cannot stand in a graph, as in `NaN is no JSON number`; None if it can."""
    if depth > _MAX_DEPTH:
        return f"it is nested deeper than {_MAX_DEPTH} levels"
    if isinstance(value, list | dict):
        return _flaw_inside(value, depth)
    if isinstance(value, float) and not math.isfinite(value):
        return f"{'NaN' if math.isnan(value) else 'Infinity'} is no JSON number"
    if isinstance(value, str) and not _is_text(value):
        return "it holds half a character (a lone surrogate)"
    if isinstance(value, int) and not -_TOO_LARGE < value < _TOO_LARGE:
        return f"it is a whole number of more than {_MAX_DIGITS:,} digits"
    is_known = value is None or isinstance(value, str | int | float)
    return None if is_known else f"a Python {type(value).__name__} is no JSON value"


def text_flaw(value: object) -> str | None:
    """Say why *value* cannot be kept as text, as in `must be text, not int`; None if it can."""
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    return None if _is_text(value) else "holds half a character (a lone surrogate)"


def kind_of(value: Any) -> str:
    """Name the JSON kind of *value* for a message, as in `a number`."""
    if value is None:
        return "null"
    names = ((bool, "true or false"), ((int, float), "a number"), (str, "text"), (list, "a list"))
    return next((name for kind, name in names if isinstance(value, kind)), "an object")


def _flaw_inside(value: list[Any] | dict[Any, Any], depth: int) -> str | None:
    parts = value
    if isinstance(value, dict):
        # json.dumps would write the key 5 as "5", and two keys could become one.
        if not all(isinstance(key, str) for key in value):
            return "it has a key that is not text"
        parts = [*value, *value.values()]
    return next(filter(None, (find_flaw(part, depth=depth + 1) for part in parts)), None)


def _is_text(value: str) -> bool:
    # ASCII first: it is a flag of the string, and true for nearly all of them.
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)
