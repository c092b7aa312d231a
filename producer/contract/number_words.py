"""A number with its noun, for sentences that people read."""

from __future__ import annotations


def how_many(number: int, noun: str) -> str:
    """Return `1 job`, `2 jobs`, `1,000 jobs`; *noun* is one of the regular ones, in the singular."""
    ending = "" if number == 1 else "es" if noun.endswith(("ch", "sh", "x")) else "s"
    return f"{number:,} {noun}{ending}"
