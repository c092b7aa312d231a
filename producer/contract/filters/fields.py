"""The fields that a filter may name, what each takes, and the help that says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from producer.contract.causes import Cause
from producer.contract.jobs import JobStatus
from producer.contract.owners import owner_flaw
from producer.contract.queues import Tier, is_name
from producer.contract.text_cleaning import escaped

_SHAPE: Final = re.compile("[0-9a-f]{16}")
#: Characters of a batch's name; see `producer.intake.request`.
_LONGEST_NAME: Final = 256


@dataclass(frozen=True)
class Field:
    """One field of a filter.

    Args:
        what: of a job it is, for people.
        example: a term with it.
        choices: the only values that it takes; nothing where it takes others.
        flaw: says what is wrong with a value, as in `is no name`, and what is expected.
        is_time: it takes a time, and what lies before or after one.
    """

    name: str
    what: str
    example: str
    choices: tuple[str, ...] = ()
    flaw: Callable[[str], str | None] = lambda _: None
    is_time: bool = False


def _name_flaw(value: str) -> str | None:
    if is_name(value):
        return None
    return f"'{escaped(value)}' is no name; expected at most 63 small letters, digits, '.', '_' and '-'"


def _batch_flaw(value: str) -> str | None:
    if 0 < len(value) <= _LONGEST_NAME:
        return None
    return f"has {len(value):,} characters; expected the id or the name of a batch"


def _shape_flaw(value: str) -> str | None:
    if _SHAPE.fullmatch(value):
        return None
    return f"'{escaped(value)}' is none; expected 16 digits and letters a to f, as records have it"


FIELDS: Final = {
    field.name: field
    for field in (
        Field("status", "where it is", "status:failed", choices=tuple(JobStatus)),
        Field("cause", "why it ended", "cause:out_of_memory", choices=tuple(Cause)),
        Field("node", "where it runs, or ran last", "node:gpu-03", flaw=_name_flaw),
        Field("batch", "the batch it is of: id or name", "batch:night-0412", flaw=_batch_flaw),
        Field("owner", 'whose it is; owner:"" has none', "owner:shop", flaw=owner_flaw),
        Field("pool", "where its nodes are", "pool:video", flaw=_name_flaw),
        Field("tier", "how urgent it is", "tier:rush", choices=tuple(Tier)),
        Field("shape", "its graph's shape", "shape:f517a8351f277a95", flaw=_shape_flaw),
        Field("created", "when it was handed in", "created:>2026-11-27", is_time=True),
        Field("ended", "when it ended", "ended:<2026-11-27T18:30", is_time=True),
    )
}

#: How terms are put together.
RULES: Final = """\
Terms stand apart by spaces, and all must hold. Several values of one field go by comma, a value with spaces
or commas in double quotes, and - before a term means not: -status:succeeded. A time is a date or a date with
an hour, as 2026-11-27T18:30, in UTC unless it ends with an offset as +01:00; > is after all of it, < before
it, >= and <= include it, and without a sign it is meant itself. At a shell, quote a term with spaces, > or <:
'batch:my night' 'created:>2026-11-27'. The word all, alone, means all jobs: an empty filter lists them, but
changes none."""


def filter_help() -> str:
    """Return what a filter may say, for people, a field a line."""
    width = max(len(field.example) for field in FIELDS.values())
    lines = [
        f"{field.example:<{width}}  {field.what}"
        + (f": {', '.join(field.choices)}" if field.choices else "")
        for field in FIELDS.values()
    ]
    return "\n".join((*lines, "", RULES))
