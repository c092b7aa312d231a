"""Verify (`comfyfleet verify`): reads every artifact, compares size and SHA-256 with its record.

Manifests of both versions are read; see `producer.contract.manifests`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

from producer.checking.object_check import manifest_of
from producer.checking.shared_check import SharedCheck
from producer.contract.config.settings import Settings
from producer.contract.errors import (
    BucketForbidden,
    BucketMissing,
    ObjectMissing,
    StorageError,
    StorageUnreachable,
)
from producer.contract.ids import JobId
from producer.contract.jobs import Artifact, Job, JobStatus
from producer.storage.inventory import Inventory
from producer.store.audit import Audit
from producer.store.connection import connect
from producer.store.ended_buckets import TornBucket
from producer.store.record_reader import in_pages

#: Objects fetched in parallel: enough to fill a link, few enough for a busy S3 service.
_THREADS: Final = 4
_JOBS_AT_ONCE: Final = 50

#: Errors of the S3 service as a whole: they are raised, and say nothing about one object.
_STORE_FAULTS: Final = (StorageUnreachable, BucketMissing, BucketForbidden)


@dataclass(frozen=True)
class Flaw:
    """A difference between an object and its record or manifest; *message* is a whole sentence."""

    job: JobId
    key: str | None  #: None: it is about the job itself.
    kind: str  #: `not_succeeded`, `missing`, `unreadable`, `differs` or `manifest_differs`.
    message: str


@dataclass
class Totals:
    """What was compared so far: numbers of jobs and artifacts, and the artifacts' recorded bytes."""

    jobs: int = 0
    artifacts: int = 0
    bytes: int = 0


class Verifier:
    """Streams artifacts from S3 in parallel and compares them; none is held in memory as a whole."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.s3_prefix
        self._redis = connect(settings)
        self._audit = Audit(self._redis)
        self._inventory = Inventory(settings)
        self._shared = SharedCheck(self._inventory)
        self.totals = Totals()

    def succeeded(self) -> Iterator[Job]:
        """Yield every succeeded job that still has a record, each once."""
        seen: set[JobId] = set()
        for page in self._audit.records():
            for reading in page:
                job = reading.job
                if job and job.status is JobStatus.SUCCEEDED and job.id not in seen:
                    seen.add(job.id)
                    yield job
        for bucket in self._audit.of_packed_rows().buckets():
            with suppress(TornBucket):  # `comfyfleet check` names it
                for job in bucket.jobs().values():
                    if job.status is JobStatus.SUCCEEDED and job.id not in seen:
                        seen.add(job.id)
                        yield job

    def flaws(self, jobs: Iterable[Job]) -> Iterator[Flaw]:
        """Compare the artifacts and manifests of *jobs*; yield each flaw as it is found.

        Raises:
            StorageUnreachable, BucketMissing, BucketForbidden: the S3 service as a whole failed.
        """
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="verify") as pool:
            for page in in_pages(jobs, _JOBS_AT_ONCE):
                for found in pool.map(lambda check: check(), self._checks(page)):
                    yield from found

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
        self._inventory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _checks(self, jobs: Iterable[Job]) -> Iterator[Callable[[], list[Flaw]]]:
        for job in jobs:
            self.totals.jobs += 1
            if job.status is not JobStatus.SUCCEEDED:
                yield partial(_not_succeeded, job)
                continue
            yield partial(self._check_manifest, job)
            for artifact in job.artifacts:
                self.totals.artifacts += 1
                self.totals.bytes += artifact.bytes
                yield partial(self._check_artifact, job, artifact)

    def _check_artifact(self, job: Job, artifact: Artifact) -> list[Flaw]:
        try:
            found = self._inventory.digest(artifact.key)
        except _STORE_FAULTS:
            raise
        except StorageError as exc:
            return [_unreadable(job, artifact.key, exc)]
        differs = []
        if found.bytes != artifact.bytes:
            differs.append(f"has {found.bytes} bytes, the record says {artifact.bytes}")
        if found.sha256 != artifact.sha256:
            differs.append(f"has SHA-256 {found.sha256}, the record says {artifact.sha256}")
        if not differs:
            return []
        return [Flaw(job.id, artifact.key, "differs", f"{artifact.key} {' and '.join(differs)}")]

    def _check_manifest(self, job: Job) -> list[Flaw]:
        key = manifest_of(job, self._prefix)
        try:
            manifest = self._inventory.get_json(key)
        except _STORE_FAULTS:
            raise
        except StorageError as exc:
            return [_unreadable(job, key, exc)]
        listed = _listed(manifest)
        if listed is None:
            return [Flaw(job.id, key, "unreadable", f"{key} is no manifest: it lists no artifacts")]
        recorded = {artifact.key: (artifact.bytes, artifact.sha256) for artifact in job.artifacts}
        flaws = [
            Flaw(job.id, key, "manifest_differs", f"{key} {_difference(name, listed, recorded)}")
            for name in sorted(listed.keys() | recorded.keys())
            if listed.get(name) != recorded.get(name)
        ]
        return [*flaws, *self._check_shared(job, key, manifest)]

    def _check_shared(self, job: Job, manifest_key: str, manifest: Any) -> Iterator[Flaw]:
        prefix = manifest_key[: manifest_key.rindex(f"jobs/{job.id}/")].rstrip("/")
        try:
            for key, kind, message in self._shared.problems(manifest, prefix):
                yield Flaw(job.id, key, kind, message)
        except _STORE_FAULTS:
            raise
        except StorageError as exc:
            yield _unreadable(job, manifest_key, exc)


def _listed(manifest: Any) -> dict[str, tuple[Any, Any]] | None:
    """Return a manifest's artifacts as `{key: (bytes, sha256)}`; None if it is no manifest."""
    try:
        return {
            str(entry["key"]): (entry["bytes"], entry["sha256"]) for entry in manifest["artifacts"]
        }
    except (KeyError, TypeError):
        return None


def _difference(
    name: str, listed: dict[str, tuple[Any, Any]], recorded: dict[str, tuple[Any, Any]]
) -> str:
    if name not in listed:
        return f"does not list {name}, which the record does"
    if name not in recorded:
        return f"lists {name}, which the record does not"
    return f"says other bytes or SHA-256 of {name} than the record"


def _not_succeeded(job: Job) -> list[Flaw]:
    message = f"job {job.id} is {job.status}, so it has no artifacts to verify"
    return [Flaw(job.id, None, "not_succeeded", message)]


def _unreadable(job: Job, key: str, error: StorageError) -> Flaw:
    if isinstance(error, ObjectMissing):
        return Flaw(job.id, key, "missing", f"{key} is not in the bucket")
    return Flaw(job.id, key, "unreadable", f"{key} cannot be read: {error.message}")
