"""Arguments of the library's calls, checked for their types: ids, durations and artifacts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final, TypeVar

from producer.contract.errors import ActionNotFound, BatchNotFound, InvalidJob, InvalidQuery
from producer.contract.ids import BatchId, JobId, parse_batch_id, parse_job_id
from producer.contract.text_cleaning import abridged, escaped

T = TypeVar("T")

_EVENT_ID: Final = re.compile(r"(\d{1,20})(?:-(\d{1,20}))?")
_LARGEST: Final = (1 << 64) - 1
_NAMES: Final = {str: "text", timedelta: "a timedelta"}

#: How a value of a type is written, for who gave another one.
_ADVICE: Final = {
    str: "a record has it as `.id`",
    timedelta: "as timedelta(seconds=30)",
}


def checked(value: Any, kind: type[T], *, field: str) -> T:
    """Return an argument that is of the type it should be of.

    Raises:
        InvalidJob: it is not; names *field*.
    """
    if isinstance(value, kind):
        return value
    expected = _NAMES.get(kind, kind.__name__)
    raise InvalidJob(
        f"{field} must be {expected}, not {type(value).__name__}",
        field=field,
        advice=_ADVICE.get(kind),
    )


def job_id_of(text: str) -> JobId:
    """Return *text* as a job id.

    Raises:
        InvalidJob: it is no UUID, or no text.
    """
    try:
        return parse_job_id(checked(text, str, field="job"))
    except ValueError:
        raise InvalidJob(
            f"{text!r} is no job id; one looks like 01a202b8-2e5f-7533-81db-221426b72003",
            field="job",
        ) from None


def batch_id_of(text: str) -> BatchId:
    """Return *text* as a batch id: a UUID in lower case with hyphens.

    Raises:
        BatchNotFound: it is no UUID.
        InvalidJob: it is no text.
    """
    try:
        return parse_batch_id(checked(text, str, field="batch"))
    except ValueError:
        raise BatchNotFound(text) from None


def action_id_of(text: str) -> str:
    """Return *text* as the id of an action; raises ActionNotFound where it is none."""
    try:
        return parse_job_id(checked(text, str, field="action"))
    except ValueError:
        raise ActionNotFound(abridged(escaped(text), most=80)) from None


def names_of(given: object, *, field: str) -> list[str]:
    """Return names, each once; a text alone is one name, not one of each letter.

    Raises:
        InvalidJob: these are no texts.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        return [checked(given, str, field=field)]
    return list(dict.fromkeys(checked(name, str, field=field) for name in given))


def event_id_of(text: Any, *, field: str = "after") -> str:
    """Return *text* as the id of an event, after which a stream goes on.

    Raises:
        InvalidQuery: it is none, or no text.
    """
    if isinstance(text, str):
        found = _EVENT_ID.fullmatch(text)
        if found and max(map(int, found.groups("0"))) <= _LARGEST:
            return text
    shown = abridged(escaped(text), most=80) if isinstance(text, str) else type(text).__name__
    raise InvalidQuery(
        f"{field} is {shown}; expected the id of an event, as 1764374400000-0", field=field
    )
