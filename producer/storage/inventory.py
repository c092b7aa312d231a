"""Inventory of the bucket: lists objects and unfinished uploads of jobs, for checks against records."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from producer.contract.config.settings import Settings
from producer.contract.ids import JobId
from producer.storage.object_store import FetchedFile, ObjectStore

_CHUNK_BYTES: Final = 256 << 10
_OF_A_JOB: Final = re.compile(
    r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/([1-9][0-9]{0,8})/[^/]+"
)


@dataclass(frozen=True)
class JobObject:
    """An object under the prefix of an attempt."""

    key: str
    job_id: JobId
    bytes: int
    stored_at: datetime


@dataclass(frozen=True)
class UnfinishedUpload:
    """An unfinished multipart upload under the prefix of an attempt."""

    key: str
    job_id: JobId
    attempt: int
    upload_id: str
    begun_at: datetime


class Inventory(ObjectStore):
    """The object storage, listed by job. Thread-safe.

    Its methods raise the errors of `producer.storage.s3_errors`.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._jobs_prefix = f"{settings.s3_prefix}/jobs/" if settings.s3_prefix else "jobs/"

    def job_objects(self) -> Iterator[JobObject]:
        """Yield every object of every attempt, those of one job in a row; reads a page at a time."""
        with self._bucket.talking():
            pages = self._bucket.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket.name, Prefix=self._jobs_prefix
            )
            for page in pages:
                yield from filter(None, map(self._job_object, page.get("Contents", ())))

    def digest(self, key: str) -> FetchedFile:
        """Read an object to its end, in constant memory, and return its bytes and SHA-256.

        Raises:
            ObjectMissing: there is none.
        """
        digest, size = hashlib.sha256(), 0
        with self._bucket.talking(key):
            body = self._bucket.s3.get_object(Bucket=self._bucket.name, Key=key)["Body"]
            for chunk in body.iter_chunks(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
        return FetchedFile(bytes=size, sha256=digest.hexdigest())

    def delete(self, key: str) -> None:
        """Delete an object; a missing one is no error."""
        with self._bucket.talking(key):
            self._bucket.s3.delete_object(Bucket=self._bucket.name, Key=key)

    def unfinished_uploads(self) -> Iterator[UnfinishedUpload]:
        """Yield every unfinished multipart upload under the prefix of an attempt."""
        with self._bucket.talking():
            pages = self._bucket.s3.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket.name, Prefix=self._jobs_prefix
            )
            for page in pages:
                yield from filter(None, map(self._upload, page.get("Uploads", ())))

    def drop(self, upload: UnfinishedUpload) -> None:
        """Abort an upload, which deletes its parts; one that has ended is no error."""
        with self._bucket.talking(upload.key), suppress(self._bucket.s3.exceptions.NoSuchUpload):
            self._bucket.s3.abort_multipart_upload(
                Bucket=self._bucket.name, Key=upload.key, UploadId=upload.upload_id
            )

    def _upload(self, listed: dict[str, Any]) -> UnfinishedUpload | None:
        found = _OF_A_JOB.fullmatch(listed["Key"].removeprefix(self._jobs_prefix))
        if not found or not listed["Key"].startswith(self._jobs_prefix):
            return None
        return UnfinishedUpload(
            listed["Key"], JobId(found[1]), int(found[2]), listed["UploadId"], listed["Initiated"]
        )

    def _job_object(self, listed: dict[str, Any]) -> JobObject | None:
        """Return an entry of the listing as an object; None if its key is not that of an attempt."""
        found = _OF_A_JOB.fullmatch(listed["Key"].removeprefix(self._jobs_prefix))
        if not found:
            return None
        return JobObject(listed["Key"], JobId(found[1]), listed["Size"], listed["LastModified"])
