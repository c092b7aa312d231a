"""Near names: finds the names most similar to one that does not exist, also among very many. Pure."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable
from itertools import islice
from typing import Final

#: Names that difflib compares, which takes up to 1 ms for two, growing with the square of their
#: length: those that share most pairs of characters, which takes 1 or 2 µs to count.
_COMPARED: Final = 12
_COUNTED: Final = 50_000
#: Characters of a name that is compared; longer ones are cut.
_LONGEST: Final = 120


def near_names(
    name: str, known: Iterable[str], *, count: int = 1, cutoff: float = 0.6
) -> list[str]:
    """Return up to *count* of the *known* names that are similar to *name*, the most similar first.

    Args:
        cutoff: the least similarity, from 0 to 1, as in `difflib.get_close_matches`.
    """
    wanted = name[:_LONGEST]
    pairs = _pairs(wanted)
    begins: dict[str, str] = {}
    for one in islice(known, _COUNTED):
        begins.setdefault(one[:_LONGEST], one)
    likest = heapq.nlargest(_COMPARED, begins, key=lambda one: _share(pairs, _pairs(one)))
    return [begins[one] for one in difflib.get_close_matches(wanted, likest, count, cutoff)]


def _pairs(name: str) -> set[str]:
    return {name[at : at + 2] for at in range(len(name) - 1)} or {name}


def _share(wanted: set[str], pairs: set[str]) -> float:
    return len(wanted & pairs) / (len(wanted) + len(pairs))
