"""Turns: how far an action on many jobs is, as its record has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter

from producer.contract.filters.query import Filter
from producer.contract.ids import JobId
from producer.contract.json_texts import read_json
from producer.contract.outcomes import ActionRecord, Refusal
from producer.store.times import maybe_utc, utc

#: A record of a later version is left to workers of that.
VERSION: Final = 1
FILTERS: Final = TypeAdapter(Filter)
_REFUSALS: Final = TypeAdapter(tuple[Refusal, ...])
_FIELDS: Final = (
    *("owner", "action", "filter", "actor", "reason", "state", "error"),
    *("counted", "counted_all", "matched", "done", "refused"),
)


@dataclass(frozen=True)
class Turn:
    """The present turn of an action that has not ended.

    Args:
        wanted: which jobs are meant: the filter that was handed in, and what its asker's rights add to it.
        max_waiting: how many jobs of its owner may wait when it makes one again; None: no limit but the owner's.
        cursor: where the jobs begin that were not looked at yet.
        jobs: of this turn; none yet where it is to be begun.
        next_cursor: where the next turn begins; None where this is the last.
        written: how often the record has been written.
    """

    record: ActionRecord
    wanted: Filter
    max_waiting: int | None
    cursor: str
    jobs: tuple[JobId, ...]
    next_cursor: str | None
    written: int


def turn_of(action_id: str, fields: Mapping[str, str]) -> Turn | None:
    """Return the present turn of an action by its record; None where that cannot be read by this version."""
    record = record_of(action_id, fields)
    if record is None or fields.get("v") != str(VERSION):
        return None
    try:
        limit = fields.get("max_waiting")
        return Turn(
            record=record,
            wanted=FILTERS.validate_python(read_json(fields["terms"])),
            max_waiting=None if limit is None else int(limit),
            cursor=fields["cursor"],
            jobs=tuple(map(JobId, fields.get("jobs", "").split())),
            next_cursor=fields.get("next") or None,
            written=int(fields["written"]),
        )
    except (ValueError, TypeError, KeyError):
        return None


def record_of(action_id: str, fields: Mapping[str, str]) -> ActionRecord | None:
    """Return what is told of an action; None where its record cannot be read."""
    try:
        return ActionRecord(
            id=action_id,
            created_at=utc(fields["created_ms"]),
            started_at=maybe_utc(fields.get("started_ms")),
            cancel_asked_at=maybe_utc(fields.get("cancel_ms")),
            ended_at=maybe_utc(fields.get("ended_ms")),
            refusals=_REFUSALS.validate_json(fields.get("refusals", "[]")),
            **{name: fields[name] for name in _FIELDS if name in fields},
        )
    except (ValueError, KeyError, OverflowError):
        return None
