"""JSON texts: what stands in Redis is read, or is a ValueError; and what an object says twice is found."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any


def read_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is none, or is nested too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc


def check_characters(text: str) -> None:
    r"""Check that a JSON text holds no half of a character, as `\ud83e` alone: no answer could tell it.

    Raises:
        ValueError: it does, or is no JSON.
    """
    if "\\ud" in text or "\\uD" in text:  # mostly with its second half behind it
        json.dumps(read_json(text), ensure_ascii=False).encode()


def said_twice(pairs: list[tuple[str, Any]]) -> str:
    """Return the first name that the pairs of an object have twice; all but its last value would be lost."""
    counts = Counter(name for name, _ in pairs)
    return next(name for name, count in counts.items() if count > 1)
