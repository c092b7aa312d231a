"""Writes an object under a key that is free, or that holds these same bytes already.

A write whose answer was lost is repeated, by boto3 or by a restarted worker, and then finds its
own object there. So a refused condition is an answer to look into, not a failure.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from producer.contract.errors import ObjectConflict, ObjectMissing, StorageError
from producer.storage.bucket import Bucket
from producer.storage.multipart import MultipartUpload
from producer.storage.object_headers import content_disposition, encode_metadata

#: A larger file goes in parts, each of which can fail and be sent again alone.
MULTIPART_ABOVE_BYTES: Final = 16 << 20


@dataclass(frozen=True, kw_only=True)
class NewObject:
    """What is to be stored: a file, or bytes that are in memory already."""

    key: str
    source: Path | bytes
    sha256: str  #: Of all of it, hexadecimal.
    media_type: str
    download_name: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    may_be_split: bool = True  #: If not, the store checks the hash of all of it.

    @property
    def size_bytes(self) -> int:
        """How long it is."""
        return self.source.stat().st_size if isinstance(self.source, Path) else len(self.source)

    @property
    def path_to_split(self) -> Path | None:
        """The file, if it is one to be sent in parts."""
        is_large = self.may_be_split and self.size_bytes > MULTIPART_ABOVE_BYTES
        return self.source if is_large and isinstance(self.source, Path) else None

    @property
    def headers(self) -> dict[str, Any]:
        """What is said of it, in boto3's words."""
        return {
            "ContentType": self.media_type,
            "ContentDisposition": content_disposition(
                self.download_name, media_type=self.media_type
            ),
            "Metadata": {**encode_metadata(self.metadata), "sha256": self.sha256},
        }

    def open(self) -> BinaryIO:
        """Return it as a file to read from."""
        return self.source.open("rb") if isinstance(self.source, Path) else io.BytesIO(self.source)


def write_once(bucket: Bucket, new: NewObject) -> None:
    """Store *new*, checked by the store as it arrives: by SHA-256, or by CRC32 a part.

    Raises:
        ObjectConflict: the key holds other bytes.
    """
    path = new.path_to_split
    # Parts meet the condition only when all of them are sent: looking first is cheaper.
    if (path or not bucket.has_conditions) and holds(bucket, new):
        return
    try:
        with bucket.talking(new.key):
            if path:
                _put_parts(bucket, new, path)
            elif _put_whole(bucket, new):
                return
    except ObjectConflict as exc:
        if not holds(bucket, new):
            raise StorageError(f"{new.key} was being written by another; it is not there") from exc
        return
    _compare_size(bucket, new.key, sent=new.size_bytes)


def holds(bucket: Bucket, new: NewObject) -> bool:
    """Tell whether the object is there already, by the hash noted when it was put, and by size.

    Raises:
        ObjectConflict: another one is.
    """
    try:
        found = bucket.stat(new.key)
    except ObjectMissing:
        return False
    if (found.sha256, found.bytes) == (new.sha256, new.size_bytes):
        return True
    raise ObjectConflict(
        f"{new.key} already holds {found.bytes} bytes with SHA-256 {found.sha256},"
        f" not our {new.size_bytes} bytes with {new.sha256}"
    )


def _put_whole(bucket: Bucket, new: NewObject) -> bool:
    """Send it in one request; tell whether the store confirmed its hash."""
    digest = base64.b64encode(bytes.fromhex(new.sha256)).decode()
    checked = {"ChecksumSHA256": digest} if bucket.checks else {}
    condition = {"IfNoneMatch": "*"} if bucket.has_conditions else {}
    with new.open() as body:
        answer = bucket.s3.put_object(
            Bucket=bucket.name, Key=new.key, Body=body, **new.headers, **checked, **condition
        )
    return bool(answer.get("ChecksumSHA256") == digest)


def _put_parts(bucket: Bucket, new: NewObject, path: Path) -> None:
    MultipartUpload(
        client=bucket.s3,
        bucket=bucket.name,
        key=new.key,
        path=path,
        checksum="CRC32" if bucket.checks else None,
        if_free=bucket.has_conditions,
    ).run(headers=new.headers)


def _compare_size(bucket: Bucket, key: str, *, sent: int) -> None:
    stored = bucket.stat(key).bytes
    if stored != sent:
        raise StorageError(f"{key}: {sent} bytes were sent, the store holds {stored}")
