"""Arguments of the library's calls, checked for their types: ids, durations and artifacts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, TypeVar

from producer.contract.errors import ActionNotFound, BatchNotFound, InvalidJob
from producer.contract.ids import BatchId, JobId, parse_batch_id, parse_job_id
from producer.contract.text_cleaning import abridged, escaped

T = TypeVar("T")

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
