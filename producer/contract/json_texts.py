"""JSON texts: what stands in Redis is read, or is a ValueError; and what an object says twice is found."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any


def read_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is none, is nested too deeply to be read, or holds half a character, which no answer could tell.
    """
    try:
        found = json.loads(text)
        if _escapes_a_surrogate(text):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc
    return found


def _escapes_a_surrogate(text: str | bytes) -> bool:
    r"""Tell whether a text has `\ud83e` or the like, mostly with its second half behind it."""
    return (
        (b"\\ud" in text or b"\\uD" in text)
        if isinstance(text, bytes)
        else ("\\ud" in text or "\\uD" in text)
    )


def said_twice(pairs: list[tuple[str, Any]]) -> str:
    """Return the first name that the pairs of an object have twice; all but its last value would be lost."""
    counts = Counter(name for name, _ in pairs)
    return next(name for name, count in counts.items() if count > 1)
