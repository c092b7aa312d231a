"""Result lines: what is told of a row and its newest job, as `comfyfleet batch results --json` prints it."""

from __future__ import annotations

import json
from typing import Any, Final

from producer.contract.jobs import Job

#: `row`, then the fields of its job that are not None, as JSON has them.
Line = dict[str, Any]


def line_of(row: int, job: Job) -> Line:
    """Return what is told of a row."""
    return {"row": row, **job.model_dump(mode="json", exclude_none=True)}


#: Writes a line, or a value of one, as JSON in ASCII.
line_text: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
