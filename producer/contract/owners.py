"""Whose a job is: a name that stands in keys, filters and counts, so it is a plain one."""

from __future__ import annotations

from typing import Final

from producer.contract.text_cleaning import escaped

LONGEST_OWNER: Final = 64


def owner_flaw(owner: str) -> str | None:
    """Say why *owner* cannot be an owner's name, with what is expected; None if it can.

    The empty name is the default owner: that of jobs handed in without one.
    """
    if len(owner) > LONGEST_OWNER:
        found = f"has {len(owner):,} characters"
    elif ":" in owner:
        found = f"'{escaped(owner)}' has a colon"
    elif any(char.isspace() for char in owner):
        found = f"'{escaped(owner)}' has a space"
    elif not owner.isprintable():
        found = f"'{escaped(owner)}' has a control character"
    else:
        return None
    return (
        f"{found}; expected at most {LONGEST_OWNER} characters "
        "without spaces, colons and control characters"
    )
