"""Multipart upload of a large file, aborted when it fails.

boto3's own transfer manager is not used: it supports no condition (`If-None-Match`) for uploads, and
holds the parts in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from producer.storage.content_md5 import md5_header

PART_BYTES: Final = 8 << 20

#: S3's limit of parts of one object.
_MOST_PARTS: Final = 10_000

#: Parts of one file sent in parallel: while one is hashed, another is transferred.
_AT_ONCE: Final = 2

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MultipartUpload:
    """The multipart upload of one file to one key."""

    client: Any
    bucket: str
    key: str
    path: Path
    checksum: str | None  #: The algorithm of each part's checksum, as `CRC32`; None: Content-MD5.
    if_free: bool  #: Whether to send the condition that the key be free.

    def run(self, *, headers: Mapping[str, Any]) -> None:
        """Send the file; abort the upload on any failure, and raise boto3's error."""
        algorithm = {"ChecksumAlgorithm": self.checksum} if self.checksum else {}
        answer = self.client.create_multipart_upload(**self._where(), **headers, **algorithm)
        upload_id = answer["UploadId"]
        condition = {"IfNoneMatch": "*"} if self.if_free else {}
        try:
            self.client.complete_multipart_upload(
                **self._where(),
                UploadId=upload_id,
                MultipartUpload={"Parts": self._put_parts(upload_id)},
                **condition,
            )
        except BaseException:
            self._abort(upload_id)
            raise

    def _put_parts(self, upload_id: str) -> list[dict[str, Any]]:
        size = self.path.stat().st_size
        part_bytes = max(PART_BYTES, -(-size // _MOST_PARTS))
        starts = range(0, size, part_bytes)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload-part") as threads:
            sent = [
                threads.submit(self._put_part, upload_id, number, start, part_bytes)
                for number, start in enumerate(starts, start=1)
            ]
            try:
                return [part.result() for part in sent]
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise

    def _put_part(self, upload_id: str, number: int, start: int, length: int) -> dict[str, Any]:
        from s3transfer.utils import ReadFileChunk  # noqa: PLC0415 - comes with boto3, as slow

        with ReadFileChunk.from_filename(str(self.path), start, length) as part:
            checked = {"ChecksumAlgorithm": self.checksum} if self.checksum else md5_header(part)
            answer = self.client.upload_part(
                **self._where(), UploadId=upload_id, PartNumber=number, Body=part, **checked
            )
        checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        return {"PartNumber": number, "ETag": answer["ETag"], **checksums}

    def _abort(self, upload_id: str) -> None:
        # Called only after all parts have ended: one that arrives later would never be deleted.
        try:
            self.client.abort_multipart_upload(**self._where(), UploadId=upload_id)
        except Exception as exc:  # noqa: BLE001 - the first error is the one to report
            _log.warning("parts of %s stay until check --objects --repair: %s", self.key, exc)

    def _where(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key}
