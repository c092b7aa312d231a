"""Upload check: unfinished multipart uploads, whose parts take space and are in no object listing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from producer.checking.findings import Finding, Kind
from producer.contract.errors import BucketForbidden, StorageRefused
from producer.contract.ids import JobId
from producer.storage.inventory import Inventory, UnfinishedUpload
from producer.store.audit import Audit
from producer.store.record_reader import in_pages

_AT_ONCE = 100  # jobs whose records are read in one round trip


class UploadCheck:
    """Lists unfinished multipart uploads under the keys of attempts.

    One is in use while its attempt runs; any other was abandoned, whether its job has a record or not.

    Args:
        age: how old one must be before it is aborted; an overtaken attempt may still be sending.
        repair: abort abandoned uploads of that age.
    """

    def __init__(self, inventory: Inventory, audit: Audit, *, age: timedelta, repair: bool) -> None:
        self._inventory = inventory
        self._audit = audit
        self._age = age
        self._repair = repair

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for each abandoned upload, or one that says why they cannot be listed."""
        try:
            uploads = list(self._inventory.unfinished_uploads())
        except (BucketForbidden, StorageRefused) as exc:
            yield Finding(
                kind=Kind.UPLOADS_UNSEEN,
                about="uploads",
                found=f"unfinished uploads cannot be listed: {exc.message}",
                expected=exc.advice or "a lifecycle rule of the bucket can drop them",
            )
            return
        for page in in_pages(uploads, _AT_ONCE):
            running = self._running({upload.job_id for upload in page})
            for upload in page:
                if running.get(upload.job_id) != upload.attempt:
                    yield self._left(upload)

    def _running(self, job_ids: set[JobId]) -> dict[JobId, int]:
        """Return the current attempt of each job that has not ended."""
        readings = self._audit.read(list(job_ids))
        return {
            found.job_id: found.job.attempt
            for found in readings
            if found.job and not found.job.done
        }

    def _left(self, upload: UnfinishedUpload) -> Finding:
        is_young = datetime.now(UTC) - upload.begun_at < self._age
        drops = self._repair and not is_young
        if drops:
            self._inventory.drop(upload)
        return Finding(
            kind=Kind.UNFINISHED_UPLOAD,
            about=upload.key,
            found=f"parts of {upload.key} were sent at {upload.begun_at:%Y-%m-%d %H:%M}, and no more",
            expected="its worker was killed; they go once they are old enough"
            if is_young
            else "its worker was killed; they should go",
            mended=drops,
            is_young=is_young,
        )
