"""Writes an object under a key that is free, or that holds these same bytes already.

A write whose answer was lost is repeated, by boto3 or by a restarted worker, and then finds its
own object there. So a refused condition is an answer to look into, not a failure.
"""

from __future__ import annotations

import base64
import hashlib
import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from producer.contract.errors import (
    BucketForbidden,
    CredentialsRefused,
    ObjectConflict,
    ObjectMissing,
    StorageError,
    StorageRefused,
    UnclearRefusal,
)
from producer.storage.bucket import Bucket
from producer.storage.content_md5 import md5_header
from producer.storage.multipart import MultipartUpload
from producer.storage.object_headers import content_disposition, encode_metadata
from producer.storage.object_keys import promised_sha256

_log = logging.getLogger(__name__)

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
    said: Mapping[str, str] = field(default_factory=dict)  #: What the fleet says of it.
    metadata: Mapping[str, str] = field(default_factory=dict)  #: What the submitter says.
    may_be_split: bool = True  #: If not, the S3 service checks the hash of all of it.

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
            "Metadata": encode_metadata({"sha256": self.sha256, **self.said}, self.metadata),
        }

    def open(self) -> BinaryIO:
        """Return it as a file to read from."""
        return self.source.open("rb") if isinstance(self.source, Path) else io.BytesIO(self.source)


def write_once(bucket: Bucket, new: NewObject) -> None:
    """Store *new*, checked by the S3 service as it arrives: by SHA-256, CRC32 a part, or MD5.

    An S3 service that knows no conditions is asked for the object first; the first write finds that out.

    Raises:
        ObjectConflict: the key holds other bytes.
    """
    # Parts meet the condition only when all of them are sent: asking first is cheaper.
    checks_first = new.path_to_split or not bucket.has_conditions
    if checks_first and is_there(bucket, new):
        return
    try:
        with _conflict_unless_ours(bucket, new):
            _put(bucket, new, if_free=bucket.has_conditions)
    except (StorageRefused, UnclearRefusal) as exc:
        # 501, 405 or 400: many gateways know no condition, or not for an upload in parts.
        if not bucket.has_conditions or is_there(bucket, new):
            raise
        with _conflict_unless_ours(bucket, new):
            _put(bucket, new, if_free=False)
        if isinstance(exc, StorageRefused):
            bucket.has_conditions = False
            _log.warning("this store knows no conditional writes; each write looks first")


def holds(bucket: Bucket, new: NewObject) -> bool:
    """Tell whether the object is there already, by its size and the hash noted when it was put.

    Where the S3 service has kept no note, what is there is hashed.

    Raises:
        ObjectConflict: another one is.
        BucketForbidden: we may not read it.
    """
    try:
        found = bucket.stat(new.key)
    except ObjectMissing:
        return False
    sha256 = found.sha256
    if sha256 is None and found.bytes == new.size_bytes:
        sha256 = _hash_of(bucket, new.key)
    if (sha256, found.bytes) == (new.sha256, new.size_bytes):
        return True
    raise ObjectConflict(
        f"{new.key} already holds {found.bytes} bytes with SHA-256 {sha256},"
        f" not our {new.size_bytes} bytes with {new.sha256}"
    )


def is_there(bucket: Bucket, new: NewObject) -> bool:
    """Tell whether to save the write; who may not read it has to write."""
    try:
        return holds(bucket, new)
    except CredentialsRefused:
        raise
    except BucketForbidden as exc:
        # Without s3:ListBucket, AWS says "forbidden" also of what is not there.
        _log.debug("written without a look: %s", exc)
        return False


@contextmanager
def _conflict_unless_ours(bucket: Bucket, new: NewObject) -> Iterator[None]:
    try:
        yield
    except ObjectConflict as exc:
        # An input's key is its hash: whoever was there first has stored the same.
        if not promised_sha256(new.key) and not holds(bucket, new):
            raise StorageError(f"{new.key} was being written by another; it is not there") from exc


def _put(bucket: Bucket, new: NewObject, *, if_free: bool) -> None:
    with bucket.talking(new.key):
        if path := new.path_to_split:
            _put_parts(bucket, new, path, if_free=if_free)
        elif _put_whole(bucket, new, if_free=if_free):
            return
    _compare_size(bucket, new.key, sent=new.size_bytes)


def _put_whole(bucket: Bucket, new: NewObject, *, if_free: bool) -> bool:
    """Send it in one request; tell whether the S3 service confirmed its hash."""
    digest = base64.b64encode(bytes.fromhex(new.sha256)).decode()
    condition = {"IfNoneMatch": "*"} if if_free else {}
    with new.open() as body:
        checked = {"ChecksumSHA256": digest} if bucket.checks else md5_header(body)
        answer = bucket.s3.put_object(
            Bucket=bucket.name, Key=new.key, Body=body, **new.headers, **checked, **condition
        )
    return bool(answer.get("ChecksumSHA256") == digest)


def _put_parts(bucket: Bucket, new: NewObject, path: Path, *, if_free: bool) -> None:
    MultipartUpload(
        client=bucket.s3,
        bucket=bucket.name,
        key=new.key,
        path=path,
        checksum="CRC32" if bucket.checks else None,
        if_free=if_free,
    ).run(headers=new.headers)


def _hash_of(bucket: Bucket, key: str) -> str:
    digest = hashlib.sha256()
    with bucket.talking(key):
        body = bucket.s3.get_object(Bucket=bucket.name, Key=key)["Body"]
        for chunk in body.iter_chunks(256 << 10):
            digest.update(chunk)
    return digest.hexdigest()


def _compare_size(bucket: Bucket, key: str, *, sent: int) -> None:
    try:
        stored = bucket.stat(key).bytes
    except CredentialsRefused:
        raise
    except BucketForbidden as exc:
        _log.debug("the store took %s; its size may not be looked at: %s", key, exc)
        return
    if stored != sent:
        raise StorageError(f"{key}: {sent} bytes were sent, the store holds {stored}")
