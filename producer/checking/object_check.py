"""Object check: artifacts missing from the bucket or of another size, and orphaned objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Final

from producer.checking.findings import Finding, Kind
from producer.contract.errors import ObjectMissing
from producer.contract.ids import JobId
from producer.contract.jobs import Job, JobStatus
from producer.storage.inventory import Inventory, JobObject
from producer.storage.object_keys import manifest_key
from producer.store.audit import Audit
from producer.store.record_reader import in_pages

_AT_ONCE: Final = 100  # jobs whose records are read in one round trip


class ObjectCheck:
    """Lists the bucket once and compares it with the records, job by job.

    An object is an orphan when its job has ended and the record does not name it: an attempt
    that was overtaken, failed or cancelled left it. Objects of jobs without a record are not
    reported: from the manifest among them the record may be rebuilt.

    Args:
        prefix: of the object keys, as the settings have it.
        orphan_age: how old an orphan must be before it is removed.
        repair: remove old orphans.
    """

    def __init__(
        self,
        inventory: Inventory,
        audit: Audit,
        *,
        prefix: str,
        orphan_age: timedelta,
        repair: bool,
    ) -> None:
        self._inventory = inventory
        self._audit = audit
        self._prefix = prefix
        self._orphan_age = orphan_age
        self._repair = repair

    def findings(self, succeeded: Iterable[JobId]) -> Iterator[Finding]:
        """Yield the findings about objects.

        Args:
            succeeded: the jobs whose artifacts and manifests must exist.

        Raises:
            FleetUnreachable, StorageError: Redis or S3 failed.
        """
        unlisted = set(succeeded)
        listing = groupby(self._inventory.job_objects(), key=attrgetter("job_id"))
        jobs = ((job_id, list(objects)) for job_id, objects in listing)
        for page in in_pages(jobs, _AT_ONCE):
            found = dict(page)
            unlisted -= found.keys()
            yield from self._compare(found)
        for ids in in_pages(unlisted, _AT_ONCE):
            yield from self._compare({job_id: [] for job_id in ids})

    def _compare(self, page: dict[JobId, list[JobObject]]) -> Iterator[Finding]:
        for reading in self._audit.read(list(page)):
            if reading.job and reading.job.done:
                objects = page[reading.job_id]
                yield from self._missing(reading.job, {found.key: found.bytes for found in objects})
                yield from self._orphans(reading.job, objects)

    def _missing(self, job: Job, sizes: dict[str, int]) -> Iterator[Finding]:
        for key, wanted in _named_by(job, self._prefix).items():
            found = sizes[key] if key in sizes else self._size(key)
            if found is None:
                yield Finding(
                    kind=Kind.MISSING_OBJECT,
                    about=key,
                    found=f"job {job.id} has succeeded, but {key} is not in the bucket",
                    expected=f"it should be there: comfyfleet job retry {job.id} makes it again",
                )
            elif wanted not in {None, found}:
                yield Finding(
                    kind=Kind.WRONG_SIZE,
                    about=key,
                    found=f"{key} has {found} bytes",
                    expected=f"the record of job {job.id} says {wanted}",
                )

    def _size(self, key: str) -> int | None:
        """Return one object's bytes by HEAD: the listing is older than the record, and of one prefix only."""
        try:
            return self._inventory.stat(key).bytes
        except ObjectMissing:
            return None

    def _orphans(self, job: Job, objects: Iterable[JobObject]) -> Iterator[Finding]:
        named = _named_by(job, self._prefix)
        for found in objects:
            if found.key in named:
                continue
            is_young = datetime.now(UTC) - found.stored_at < self._orphan_age
            if self._repair and not is_young:
                self._inventory.delete(found.key)
            yield Finding(
                kind=Kind.ORPHAN_OBJECT,
                about=found.key,
                found=f"job {job.id} is {job.status}, and its record does not name {found.key}",
                expected="an attempt left it; it goes once it is old enough"
                if is_young
                else "an attempt left it; it should go",
                mended=self._repair and not is_young,
                is_young=is_young,
            )


def manifest_of(job: Job, prefix: str) -> str:
    """Return the key of a succeeded job's manifest.

    It lies beside the artifacts, under the prefix that was set when they were stored.
    """
    if job.artifacts:
        return f"{job.artifacts[0].key.rpartition('/')[0]}/manifest.json"
    return manifest_key(prefix, job_id=job.id, attempt=job.attempt)


def _named_by(job: Job, prefix: str) -> dict[str, int | None]:
    """Return the keys that a succeeded job must have, each with its recorded bytes; None if not recorded."""
    if job.status is not JobStatus.SUCCEEDED:
        return {}
    sizes: dict[str, int | None] = {artifact.key: artifact.bytes for artifact in job.artifacts}
    return {**sizes, manifest_of(job, prefix): None}
