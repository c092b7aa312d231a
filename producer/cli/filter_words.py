"""The words of a command line as one filter: a shell has taken away the quotes that a filter needs."""

from __future__ import annotations

from collections.abc import Sequence

from producer.contract.errors import InvalidQuery
from producer.contract.graph.json_values import short
from producer.contract.near_names import near_names


def filter_of(words: Sequence[str] | None, *, options: Sequence[str]) -> str:
    """Return the filter that *words* make.

    A word `batch:my night` was one term with a value in quotes; `owner:` had an empty one.

    Args:
        options: those of the command: what looks like one of them and is none is no term.

    Raises:
        InvalidQuery: a word begins with `--`; terms have one `-` at most.
    """
    for word in words or ():
        if word.startswith("--"):
            near = near_names(word, options, cutoff=0.6)
            meant = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(options)}"
            raise InvalidQuery(f"there is no option {short(word)}; {meant}", field="filter")
    return " ".join(_term(word) for word in words or ())


def _term(word: str) -> str:
    head, colon, value = word.partition(":")
    if not colon or '"' in value or not _is_term(word):
        return word
    parts = word.split()
    if len(parts) > 1 and all(map(_is_term, parts)):
        return word  # several terms that were quoted together
    if not value or len(parts) > 1:
        quoted = value.replace("\\", "\\\\")
        return f'{head}:"{quoted}"'
    return word


def _is_term(word: str) -> bool:
    from producer.contract.filters.fields import FIELDS

    head, colon, _ = word.partition(":")
    return bool(colon) and head.removeprefix("-") in FIELDS
