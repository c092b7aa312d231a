"""Param values: what a typed value means, and how it fits where it is set.

A value typed on a command line has no type, and a graph has no schema; but the input that a
param replaces holds a value already. So `decode_typed` decodes only what it could write back
letter for letter (`007` and `1.50` stay text), and `fit` lets the present value decide:

| the input holds | it takes |
| --- | --- |
| a number | a number, or text that is one in JSON; a fraction, too: the editor writes 5.0 as 5 |
| text | text; a number, true or false becomes the text it was typed as |
| true or false | these, also as text; ComfyUI alone would take the text "false" for true |
| a list or object | the like, also as JSON text |
| null | anything, as it is |

Links and wrapped literals are the business of `params`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from producer.contract.graph.json_values import find_flaw

#: Below it a spreadsheet shows a whole number with all its digits.
_EXACT: Final = 1e11
_WITH_COMMA: Final = re.compile(r"[+-]?\d+,\d+")
_DIGITS_LOST: Final = (
    "a whole number with all its digits; in E-notation some are lost, and two numbers become one:"
    " format the column as text or as a number without decimals"
)


def decode_typed(text: str) -> Any:
    """Return what was typed: decoded if nothing of it gets lost, or if it is a quoted string."""
    value = _json(text)
    is_quoted = isinstance(value, str)
    return value if is_quoted or _dumps(value) == text else text


def fit(present: Any, value: Any) -> Any:
    """Return *value* in the kind of *present*.

    Raises:
        ValueError: it has none; the message names what it takes, as in `a number`.
    """
    if isinstance(present, bool):
        return _truth(value)
    if isinstance(present, int | float):
        return _number(value, whole=isinstance(present, int))
    if isinstance(present, str):
        return _text(value)
    if isinstance(present, list | dict):
        return _structure(value)
    return value


def _truth(value: Any) -> bool:
    # Spreadsheets write TRUE, Python True.
    decoded = _json(value.strip().lower()) if isinstance(value, str) else value
    if isinstance(decoded, bool):
        return decoded
    raise ValueError("true or false, as TRUE and FALSE, too")


def _number(value: Any, *, whole: bool) -> int | float:
    decoded = _json(value) if isinstance(value, str) else value
    if isinstance(decoded, bool) or not isinstance(decoded, int | float) or find_flaw(decoded):
        raise ValueError(_number_wanted(value))
    if whole and isinstance(decoded, float) and abs(decoded) >= _EXACT and not _has_all(value):
        raise ValueError(_DIGITS_LOST)
    return int(decoded) if whole and decoded == int(decoded) else decoded


def _number_wanted(value: Any) -> str:
    if isinstance(value, str) and not value.strip():
        return "a number, not an empty cell; leave the column out, or fill the cell"
    if isinstance(value, str) and _WITH_COMMA.fullmatch(value.strip()):
        return f"a number with a decimal point ({value.strip().replace(',', '.')})"
    return "a number"


def _has_all(value: Any) -> bool:
    """Tell whether a fraction or a number in E-notation is as exact as it was meant to be."""
    return isinstance(value, str) and "e" not in value.lower() and abs(float(value)) < 1 << 53


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise ValueError("text")


def _structure(value: Any) -> Any:
    decoded = _json(value) if isinstance(value, str) else value
    if isinstance(decoded, list | dict) and not find_flaw(decoded):
        return decoded
    raise ValueError("a list or an object")


def _json(text: str) -> Any:
    """Return what *text* is in JSON, or *text* itself when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _dumps(value: Any) -> str | None:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return None
