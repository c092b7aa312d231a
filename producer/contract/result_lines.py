"""Result lines: what is told of a row and its newest job, as `comfyfleet batch results --json` prints it."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Final

from producer.contract.errors import InvalidJob
from producer.contract.jobs import Job, JobStatus

#: `row`, then the fields of its job that are not None, as JSON has them.
Line = dict[str, Any]


def line_of(row: int, job: Job) -> Line:
    """Return what is told of a row."""
    return {"row": row, **job.model_dump(mode="json", exclude_none=True)}


#: Writes a line, or a value of one, as JSON in ASCII.
line_text: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def statuses_of(given: Collection[JobStatus | str]) -> set[JobStatus]:
    """Return the statuses that are named; all where none is.

    Raises:
        InvalidJob: there is none of a name; lists them.
    """
    return {_as_status(status) for status in given} or set(JobStatus)


def _as_status(value: JobStatus | str) -> JobStatus:
    try:
        return JobStatus(value)
    except ValueError:
        known = ", ".join(JobStatus)
        message = f"there is no status {value!r}; statuses are {known}"
        raise InvalidJob(message, field="statuses") from None
