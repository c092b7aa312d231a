"""Copies of artifacts in other buckets, or elsewhere in the fleet's own; reached by the same endpoint and credentials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from producer.contract.config.settings import Settings
from producer.storage.input_sources import sha256_of
from producer.storage.object_store import ObjectStore
from producer.storage.write_once import NewObject, write_over


class CopyStore(ObjectStore):
    """The object storage, with copies. Its methods raise the errors of `producer.storage.s3_errors`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._bucket = self._bucket.sibling(settings.s3_bucket)

    def put_copy(
        self,
        path: Path,
        *,
        bucket: str,
        key: str,
        media_type: str,
        metadata: Mapping[str, str],
    ) -> None:
        """Store a file in place of what lies under the key: the same copy, made before, or that of a job made again.

        Args:
            metadata: stored with it, beside its SHA-256.
        """
        new = NewObject(
            key=key,
            source=path,
            sha256=sha256_of(path),
            media_type=media_type,
            download_name=PurePosixPath(key).name,
            metadata=metadata,
        )
        write_over(self._bucket.sibling(bucket), new)
