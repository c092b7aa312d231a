"""Fetching of a job's artifacts from S3 into a local folder."""

from __future__ import annotations

import os
from pathlib import Path

from producer.cli.output import hint
from producer.client import Producer
from producer.contract.errors import InvalidJob
from producer.contract.jobs import Artifact, Job


def fetch_all(fleet: Producer, job: Job, folder: Path) -> list[Path]:
    """Copy every artifact of a job into *folder*, each checked against its SHA-256.

    Returns:
        The paths: `<job>-<graph node>-<index><suffix>`, as in the object keys.

    Raises:
        InvalidJob: nothing can be put into the folder.
        FleetError: an artifact cannot be fetched; see `Producer.fetch`.
    """
    if not job.artifacts:
        hint(f"job {job.id} has no file to copy: {_why(job)}")
        return []
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InvalidJob(f"{folder} cannot be made: {exc.strerror}", field="output") from exc
    paths = []
    for artifact in job.artifacts:
        path = folder / _name(job, artifact)
        fleet.fetch(artifact, path)
        hint(f"saved {path}")
        paths.append(path)
    return paths


def check_folder(folder: Path) -> None:
    """Check that files can be put into a folder, which is made once there are any.

    Raises:
        InvalidJob: they cannot.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        raise InvalidJob(f"{folder} cannot be made: {there} is no folder", field="output")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InvalidJob(f"{folder} cannot be written: permission denied", field="output")


def _why(job: Job) -> str:
    why = job.error.message if job.error else "; ".join(job.notes)
    return why or f"it is {job.status}"


def _name(job: Job, artifact: Artifact) -> str:
    return f"{job.id}-{artifact.key.rpartition('/')[2]}"
