"""The page of the filter language, from the table that the parser reads."""

from __future__ import annotations

from producer.contract.filters.fields import FIELDS, RULES


def table() -> str:
    """Return every field with an example and what it takes."""
    rows = [
        f"| `{field.example}` | {field.what} | {', '.join(f'`{choice}`' for choice in field.choices)} |"
        for field in FIELDS.values()
    ]
    return "\n".join(
        ["| term | a job is meant by | it takes one of |", "| --- | --- | --- |", *rows]
    )


def rules() -> str:
    """Return how terms are put together."""
    return RULES
