"""The manifest of an attempt that succeeded: what it made, and all that its record can be made from again.

It lies in the bucket beside the artifacts and outlives the record. Version 1 has the fields `job`, `attempt`,
`node`, `template`, `params`, `metadata`, `created_at`, `artifacts`, `values` and `notes`. Version 2 has every
field that the record has at the commit, and what the node was. What jobs share lies in the bucket too, under
the sha256 that the manifest names: templates, and extra data without its secrets.

A manifest alone proves nothing. It is written beside the last file of its attempt, before the commit, so a
worker that dies, is overtaken, cancelled or refused in between leaves one that may list files which are not
there, and that no record names. Who has the record asks that: `check` and `verify` do. Who has the bucket
alone believes in a manifest only if each file that it lists is there, and knows that a cancel may have come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from producer.contract import own_params
from producer.contract.jobs import Artifact, Job, JobStatus, Progress, Timings, as_writable
from producer.contract.queues import Needs, Tier

MANIFEST_VERSION: Final = 2

#: Fields of a record that follow from its success, or are over with it. The phase stays: it is the one of
#: which `timings` do not know how long it took.
_LEFT_OUT: Final = frozenset(
    {
        *(
            "id",
            "status",
            "done",
            "cancel_requested",
            "waiting_for",
            "cause",
            "error",
            "retried_as",
        ),
        *("hook", "copies"),
        *("params", "graph_values"),  # told together
    }
)
#: What a job has by default, which version 1 does not tell, and how long it had.
_POOL: Final = "default"
_START_WITHIN: Final = timedelta(days=30)
_RUN_WITHIN: Final = timedelta(hours=6)


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
        update={"artifacts": [], "values": as_writable(values), "notes": list(notes)}
    )
    told = made.model_dump(mode="json", exclude=set(_LEFT_OUT), exclude_none=True)
    return {
        "version": MANIFEST_VERSION,
        "job": job.id,
        "device": device,
        "comfyui_version": comfyui_version,
        **told,
        **own_params.told(job.params, job.graph_values),
        "artifacts": [
            artifact.model_dump(mode="json", exclude_none=True, exclude={"url"})
            for artifact in artifacts
        ],
    }


def job_of_manifest(manifest: Any, *, stored_at: datetime) -> Job:
    """Return the job that a manifest describes, as its record said when it had just succeeded.

    Args:
        manifest: JSON values of any version: fields that we do not know are passed over.
        stored_at: when it was stored, aware; the job ended at that moment, to some milliseconds.

    Raises:
        ValueError: it is none, or something in it makes no sense; one sentence says what.
    """
    if not isinstance(manifest, dict) or "job" not in manifest or "artifacts" not in manifest:
        raise ValueError("this is no manifest: it names no job and lists no artifacts")
    told = manifest if manifest.get("version", 1) != 1 else {**_defaults(manifest), **manifest}
    params, graph_values = own_params.told_apart(told)
    told = {**told, "params": params, "graph_values": graph_values}
    ended = {"status": JobStatus.SUCCEEDED, "done": True, "ended_at": stored_at}
    try:
        job = Job.model_validate({**told, "id": manifest["job"], **ended})
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"the manifest's {place} makes no sense: {first['msg']}") from exc
    for name in ("created_at", "queued_at", "started_at", "start_deadline"):
        if (at := getattr(job, name)) and at.tzinfo is None:
            raise ValueError(f"the manifest's {name} makes no sense: it has no time zone")
    heard = job.progress or Progress()
    return job.model_copy(
        update={
            "phase": None,
            "timings": _with_last_phase(job),
            "progress": Progress.complete(heard.graph_nodes),
        }
    )


def _defaults(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what version 1 does not tell; it asked for nothing special, as far as anybody knows."""
    try:
        created = datetime.fromisoformat(str(manifest.get("created_at")))
    except ValueError:
        raise ValueError("the manifest's created_at makes no sense: it is no time") from None
    return {
        "tier": Tier.DEFAULT,
        "pool": _POOL,
        "queue": Needs.of(_POOL).queue,
        "start_deadline": created + _START_WITHIN,
        "run_within_s": _RUN_WITHIN.total_seconds(),
    }


def _with_last_phase(job: Job) -> Timings:
    """Return the timings with the phase in which the manifest was written: it took until the end."""
    if job.phase is None or job.queued_at is None or job.ended_at is None:
        return job.timings
    spent = sum(job.timings.model_dump(exclude_none=True).values())
    left = (job.ended_at - job.queued_at).total_seconds() - spent
    return job.timings.model_copy(update={job.phase.value: max(0.0, round(left, 3))})
