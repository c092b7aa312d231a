"""The manifest of an attempt that succeeded: what it made, and all that its record can be made from again.

It lies in the bucket beside the artifacts and outlives the record. Version 1 has the fields `job`, `attempt`,
`node`, `template`, `params`, `metadata`, `created_at`, `artifacts`, `values` and `notes`. Version 2 has every
field that the record has at the commit, and what the node was. What jobs share lies in the bucket too, under
the sha256 that the manifest names: templates, and extra data without its secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from producer.contract.ids import row_of
from producer.contract.jobs import Artifact, Job

MANIFEST_VERSION: Final = 2

#: Fields of a record that follow from its success, or are over with it.
_LEFT_OUT: Final = frozenset(
    {
        *("id", "status", "done", "phase", "progress", "cancel_requested", "waiting_for"),
        *("cause", "error", "retried_as"),
    }
)


def manifest_of(
    job: Job,
    *,
    artifacts: Sequence[Artifact],
    values: Mapping[str, Any],
    notes: Sequence[str],
    device: str = "",
    comfyui_version: str = "",
) -> dict[str, Any]:
    """Return the manifest of a job that is about to succeed, as JSON values.

    Args:
        job: its record as read last: `timings` end where that was read, and `ended_at` is not known yet.
        artifacts, values, notes: what the commit will write into the record.
        device: the node's, as `GET /system_stats` names it (ComfyUI 0.3.64); empty if unknown.
        comfyui_version: what the node runs, from the same answer; empty if unknown.
    """
    made = job.model_copy(
        update={"artifacts": list(artifacts), "values": dict(values), "notes": list(notes)}
    )
    told = made.model_dump(mode="json", exclude=set(_LEFT_OUT), exclude_none=True)
    row = row_number(job)
    return {
        "version": MANIFEST_VERSION,
        "job": job.id,
        **({"row": row} if row else {}),
        "device": device,
        "comfyui_version": comfyui_version,
        **told,
        "artifacts": [
            artifact.model_dump(mode="json", exclude_none=True, exclude={"url"})
            for artifact in artifacts
        ],
    }


def row_number(job: Job) -> int | None:
    """Return which row of its batch a job is, from 1; None where its ids do not tell.

    The retry of a row has an id of its own, and names the row; the retry of a retry names that.
    """
    ids = filter(None, (job.id, job.retry_of)) if job.batch else ()
    rows = (row for batch, row in map(row_of, ids) if batch == job.batch)
    return next(rows, None)
