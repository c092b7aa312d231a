"""Whose a job is: a name that stands in keys, filters and counts, so it is a plain one."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

from producer.contract.arguments import checked
from producer.contract.errors import InvalidJob
from producer.contract.text_cleaning import escaped

LONGEST_OWNER: Final = 64
#: The highest limit of what an owner may have waiting.
HIGHEST_LIMIT: Final = 10**9


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


def owner_named(name: str) -> str:
    """Return a name that an owner can have; raises InvalidJob if none can."""
    owner = checked(name, str, field="owner")
    if flaw := "is empty; expected a name" if not owner else owner_flaw(owner):
        raise InvalidJob(f"owner {flaw}", field="owner")
    return owner


class OwnerUsage(BaseModel):
    """What an owner has in the fleet, and has used of it; and what it may have waiting."""

    model_config = ConfigDict(frozen=True)

    owner: str
    waiting: int = 0  #: Jobs that are held or queued, and rows of batches that have not begun.
    running: int = 0
    gpu_seconds: float = 0  #: Rendered by all attempts that are over, whatever came of them.
    max_waiting: int | None = (
        None  #: A job or batch is refused with which more would wait; None: no limit.
    )
    torn: tuple[str, ...] = ()  #: Of these, what stands as no number in Redis; it reads as 0 here.
