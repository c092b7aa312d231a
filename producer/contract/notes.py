"""Notes of a succeeded job: what its reader should know beside its artifacts, as files not saved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from producer.contract.text_cleaning import escaped

#: How many notes a record keeps; the last one says how many more there were.
MAX_NOTES: Final = 20
#: Characters of one note.
MAX_CHARACTERS: Final = 300


def fit_notes(notes: Iterable[str]) -> list[str]:
    """Return *notes* as a record keeps them: without duplicates, each one printable line, bounded.

    They quote names in graphs and from nodes, so they may hold any character.
    """
    found = [note for note in dict.fromkeys(map(_line, notes)) if note]
    if len(found) <= MAX_NOTES:
        return found
    kept = MAX_NOTES - 1
    return [*found[:kept], f"and {len(found) - kept:,} more notes"]


def _line(note: str) -> str:
    # A terminal would interpret control characters, and no valid JSON holds a lone surrogate.
    words = " ".join(note[: 4 * MAX_CHARACTERS].split())
    text = escaped(words)
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"
