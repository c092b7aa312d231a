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

    @property
    def size_bytes(self) -> int:
        """How long it is."""
        return self.source.stat().st_size if isinstance(self.source, Path) else len(self.source)

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
    size = new.size_bytes
    in_parts = isinstance(new.source, Path) and size > MULTIPART_ABOVE_BYTES
    # Parts meet the condition only when all of them are sent: looking first is cheaper.
    if (in_parts or not bucket.has_conditions) and holds(bucket, new, size=size):
        return
    try:
        with bucket.talking(new.key):
            if isinstance(new.source, Path) and in_parts:
                _put_parts(bucket, new, new.source)
            elif _put_whole(bucket, new):
                return
    except ObjectConflict as exc:
        if not holds(bucket, new, size=size):
            raise StorageError(f"{new.key} was being written by another; it is not there") from exc
        return
    _compare_size(bucket, new.key, sent=size)


def holds(bucket: Bucket, new: NewObject, *, size: int) -> bool:
    """Tell whether the object is there already, by the hash noted when it was put, and by size.

    Raises:
        ObjectConflict: another one is.
    """
    try:
        found = bucket.stat(new.key)
    except ObjectMissing:
        return False
    if (found.sha256, found.bytes) == (new.sha256, size):
        return True
    raise ObjectConflict(
        f"{new.key} already holds {found.bytes} bytes with SHA-256 {found.sha256},"
        f" not our {size} bytes with {new.sha256}"
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
