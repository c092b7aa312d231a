"""JSON values that a graph may hold: those that JSON, UTF-8 and ComfyUI all represent; how messages show them."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from producer.contract.text_cleaning import escaped, is_whole

#: Nesting levels of one input's value. Real graphs use two or three; Python's limit is near 1,000.
_MAX_DEPTH: Final = 50
#: Python neither parses nor prints longer integers (`sys.int_info.default_max_str_digits`).
_MAX_DIGITS: Final = 4_300
_TOO_LARGE: Final = 10**_MAX_DIGITS
#: `json.dumps` would make one at each call.
_CANONICAL: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)
#: Characters of a value or name that a message shows.
SHOWN: Final = 80


def find_flaw(value: Any, *, depth: int = 0, most_depth: int = _MAX_DEPTH) -> str | None:
    """Return why a graph cannot hold *value*, as `NaN is no JSON number`; None if it can.

    Args:
        depth: the level of *value*, from 0.
        most_depth: the deepest level allowed.
    """
    if depth > most_depth:
        return f"it is nested deeper than {most_depth} levels"
    if isinstance(value, list | dict):
        return _flaw_inside(value, depth, most_depth)
    if isinstance(value, float) and not math.isfinite(value):
        return f"{'NaN' if math.isnan(value) else 'Infinity'} is no JSON number"
    if isinstance(value, str) and not is_whole(value):
        return "it holds half a character (a lone surrogate)"
    if isinstance(value, int) and not -_TOO_LARGE < value < _TOO_LARGE:
        return f"it is a whole number of more than {_MAX_DIGITS:,} digits"
    is_known = value is None or isinstance(value, str | int | float)
    return None if is_known else f"a Python {type(value).__name__} is no JSON value"


def has_depth(value: Any, *, most: int) -> bool:
    """Tell whether *value* has at most *most* levels of lists and objects inside it."""
    level = [value]
    for _ in range(most + 1):
        parts = [part for part in level if isinstance(part, list | dict) and part]
        level = [
            inner for part in parts for inner in (part.values() if isinstance(part, dict) else part)
        ]
        if not parts:
            return True
    return False


def text_flaw(value: object) -> str | None:
    """Return why *value* cannot be stored as text, as `must be text, not int`; None if it can."""
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    return None if is_whole(value) else "holds half a character (a lone surrogate)"


def kind_of(value: Any) -> str:
    """Name the JSON type of *value* for a message, as `a number`."""
    if value is None:
        return "null"
    names = ((bool, "true or false"), ((int, float), "a number"), (str, "text"), (list, "a list"))
    return next((name for kind, name in names if isinstance(value, kind)), "an object")


def short(text: str, *, most: int = SHOWN) -> str:
    """Return *text*, cut to *most* characters with `…` at its end."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def printable(text: str, *, most: int = SHOWN) -> str:
    """Return *text* for a message: cut to *most* characters, control characters escaped."""
    begin = short(text, most=most)
    return begin if begin and begin.isprintable() else f"'{escaped(begin)}'"


def shown(value: Any, *, most: int = SHOWN) -> str:
    """Return a value as JSON for a message: cut to *most* characters, control characters escaped."""
    # A long text is cut before it is encoded: a picture in base64 has megabytes.
    text = json.dumps(value[: 2 * most] if isinstance(value, str) else value, ensure_ascii=False)
    return printable(text, most=most)


def canonical(value: Any) -> str:
    """Return *value* as canonical JSON: sorted keys, no blanks."""
    return _CANONICAL.encode(value)


def _flaw_inside(value: list[Any] | dict[Any, Any], depth: int, most_depth: int) -> str | None:
    parts = value
    if isinstance(value, dict):
        # json.dumps would write the key 5 as "5", and two keys could become one.
        if not all(isinstance(key, str) for key in value):
            return "it has a key that is not text"
        parts = [*value, *value.values()]
    flaws = (find_flaw(part, depth=depth + 1, most_depth=most_depth) for part in parts)
    return next(filter(None, flaws), None)
