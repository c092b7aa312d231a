"""Values of params: decodes what was typed, and converts it to the type of the input it is set in.

A value typed on a command line has no type, and a graph has no schema; but the input that a
param replaces holds a value already. So `decode_typed` decodes only what encodes to the same text
again (`007` and `1.50` stay text), and `fit` converts to the type of the present value:

| the input holds | it accepts |
| --- | --- |
| a number | a number, or text that is one in JSON; a fraction, too: the editor writes 5.0 as 5 |
| text | text; a number, true or false becomes the text it was typed as |
| true or false | these, also as text; ComfyUI alone would take the text "false" for true |
| a list or object | the like, also as JSON text |
| null | anything, as it is |

Links and wrapped literals are handled by `params`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from producer.contract.graph.json_values import find_flaw

#: Below it a spreadsheet shows an integer with all its digits.
_EXACT: Final = 1e11
_WITH_COMMA: Final = re.compile(r"[+-]?\d+,\d+")
_DIGITS_LOST: Final = (
    "a whole number with all its digits; in E-notation some are lost, and two numbers become one:"
    " format the column as text or as a number without decimals"
)


def decode_typed(text: str) -> Any:
    """Return *text* decoded as JSON if it encodes to *text* again, or is a quoted string; else *text*."""
    value = _json(text)
    is_quoted = isinstance(value, str)
    return value if is_quoted or _dumps(value) == text else text


def fit(present: Any, value: Any) -> Any:
    """Return *value* converted to the JSON type of *present*.

    Raises:
        ValueError: it cannot be converted; the message is what is accepted, as `a number`.
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
    """Tell whether a float stands for all digits as typed: text, not in E-notation, below 2^53."""
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
    """Return *text* decoded as JSON, or *text* itself if it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _dumps(value: Any) -> str | None:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return None
