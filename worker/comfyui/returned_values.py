"""The values that graph nodes return beside files (text, numbers), bounded in size. Pure."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from producer.contract.text_cleaning import abridged, writable

#: Bytes of JSON that the values of one prompt may take in its job's record. A long text fits;
#: a picture that a custom node returns as base64 does not.
KEPT_BYTES: Final = 256 << 10
#: Characters of what a note calls a list that was left out.
_SHOWN_CHARACTERS: Final = 200

#: Keys under which a person would look for one string.
_TEXT_KEY: Final = re.compile(r"text|string|prompt|caption|message|markdown|html", re.IGNORECASE)

Values = dict[str, dict[str, list[Any]]]


def fit_values(found: Values) -> tuple[Values, tuple[str, ...]]:
    """Return *found* as strict JSON of bounded size, and what had to be left out for that.

    Args:
        found: `{graph_node: {key: [...]}}` as parsed, without the files.

    Returns:
        The same shape, each list whole, without empty ones; and a `graph_node.key` for each
        list that did not fit.
    """
    kept: Values = {}
    left_out: list[str] = []
    room = KEPT_BYTES
    for graph_node, listed in found.items():
        for key, items in listed.items():
            if not items:
                continue
            try:
                values = _rejoined(key, _strict(items))
                size = len(json.dumps({graph_node: {writable(key): values}}))
            except RecursionError:  # nested deeper than any meaning
                size = room + 1
                values = []
            if size > room:
                left_out.append(abridged(f"{graph_node}.{key}", most=_SHOWN_CHARACTERS))
                continue
            room -= size
            kept.setdefault(graph_node, {})[key] = values
    return kept, tuple(left_out)


def _strict(found: Any) -> Any:
    """Return *found* with NaN and infinities, which ComfyUI writes as bare words, made null.

    Texts are made whole, too.
    """
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    if isinstance(found, str):
        return writable(found)
    if isinstance(found, list):
        return [_strict(item) for item in found]
    if isinstance(found, dict):
        return {writable(key): _strict(value) for key, value in found.items()}
    return found


def _rejoined(key: str, values: list[Any]) -> list[Any]:
    """Put a string together again that arrives letter by letter.

    ComfyUI extends a list by what a graph node returns, so a bare string becomes its letters.
    A list of one-letter strings may also be meant, hence only under a key that promises text.
    """
    is_spelled = _TEXT_KEY.search(key) and all(isinstance(v, str) and len(v) == 1 for v in values)
    return ["".join(values)] if is_spelled else values
