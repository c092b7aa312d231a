"""Counts in hashes of Redis, as `_counts.lua` judges them: somebody may have written something else there."""

from __future__ import annotations

import re
from typing import Final

from producer.contract.graph.json_values import short
from producer.contract.text_cleaning import escaped

_COUNT: Final = re.compile(r"(?=.{1,15}\Z)-?[0-9]+")


def count_of(text: str | None) -> int | None:
    """Return a count, 0 where there is none; None if what stands there is no number."""
    if text is None:
        return 0
    return int(text) if _COUNT.fullmatch(text) else None


def shown(found: object) -> int | str:
    """Return what a script says stands in a count's place: a number, or the quoted text."""
    count = count_of(str(found))
    return f"'{escaped(short(str(found)))}'" if count is None else count
