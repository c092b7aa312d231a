"""Notes: what a reader of a succeeded job should know beside its artifacts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from producer.contract.text_cleaning import escaped

#: How many notes a record keeps; the last one says how many more there were.
MAX_NOTES: Final = 20
#: Characters of one note.
MAX_CHARACTERS: Final = 300


def fit_notes(notes: Iterable[str]) -> list[str]:
    """Return *notes* as a record keeps them: each once, one line, printable, bounded in all.

    They quote what graphs and nodes call things, so any character may come.
    """
    found = [note for note in dict.fromkeys(map(_line, notes)) if note]
    if len(found) <= MAX_NOTES:
        return found
    kept = MAX_NOTES - 1
    return [*found[:kept], f"and {len(found) - kept:,} more notes"]


def _line(note: str) -> str:
    # A control sequence would reach a terminal, a lone surrogate no JSON that is valid.
    words = " ".join(note[: 4 * MAX_CHARACTERS].split())
    text = escaped(words)
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"
