"""Write once: stores an object under a key that is free, or already has the same content.

A write whose answer was lost is repeated, by boto3 or by a restarted worker, and then finds its own
object. So after a refused condition the existing object is compared; only another one is an error.
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
from producer.storage.put_object import put_object
from producer.storage.write_proof import WriteProof

_log = logging.getLogger(__name__)

#: A larger file is sent in parts, each of which is retried alone.
MULTIPART_ABOVE_BYTES: Final = 16 << 20


@dataclass(frozen=True, kw_only=True)
class NewObject:
    """An object to be stored: its source is a file, or bytes in memory."""

    key: str
    source: Path | bytes
    sha256: str  #: Of all of it, hexadecimal.
    media_type: str
    download_name: str
    said: Mapping[str, str] = field(default_factory=dict)  #: The fleet's own metadata.
    metadata: Mapping[str, str] = field(default_factory=dict)  #: The submitter's.
    may_be_split: bool = True  #: Whether a large one is sent in parts; else checked by one hash.

    @property
    def size_bytes(self) -> int:
        """Its length."""
        return self.source.stat().st_size if isinstance(self.source, Path) else len(self.source)

    @property
    def path_to_split(self) -> Path | None:
        """The file, if it is to be sent in parts; else None."""
        is_large = self.may_be_split and self.size_bytes > MULTIPART_ABOVE_BYTES
        return self.source if is_large and isinstance(self.source, Path) else None

    @property
    def headers(self) -> dict[str, Any]:
        """Its headers and metadata, as boto3's arguments."""
        return {
            "ContentType": self.media_type,
            "ContentDisposition": content_disposition(
                self.download_name, media_type=self.media_type
            ),
            "Metadata": encode_metadata({"sha256": self.sha256, **self.said}, self.metadata),
        }

    def open(self) -> BinaryIO:
        """Open its source for reading."""
        return self.source.open("rb") if isinstance(self.source, Path) else io.BytesIO(self.source)


def write_once(bucket: Bucket, new: NewObject) -> None:
    """Store *new*; the S3 service checks the body, by SHA-256, by each part's CRC32, or by MD5.

    Where its answer does not prove what it has taken, the object's size is asked for.

    If the S3 service has no conditional writes, which the first write finds out, each write asks for
    the object first.

    Raises:
        ObjectConflict: the key has other content.
    """
    # A multipart upload's condition is checked only after all parts are sent: asking first is cheaper.
    checks_first = new.path_to_split or not bucket.has_conditions
    if checks_first and is_there(bucket, new):
        return
    try:
        with _conflict_unless_ours(bucket, new):
            _put(bucket, new, if_free=bucket.has_conditions)
    except (StorageRefused, UnclearRefusal) as exc:
        # 501, 405 or 400: many gateways support no condition, or none for multipart uploads.
        if not bucket.has_conditions or is_there(bucket, new):
            raise
        with _conflict_unless_ours(bucket, new):
            _put(bucket, new, if_free=False)
        if isinstance(exc, StorageRefused):
            bucket.has_conditions = False
            _log.warning("this store knows no conditional writes; each write looks first")


def write_over(bucket: Bucket, new: NewObject) -> None:
    """Store *new* in place of whatever its key holds; checked as by `write_once`."""
    _put(bucket, new, if_free=False)


def holds(bucket: Bucket, new: NewObject) -> bool:
    """Tell whether the object exists already, by its size and the hash in its metadata.

    If the S3 service has kept no hash, the existing object is read and hashed.

    Raises:
        ObjectConflict: another object has the key.
        BucketForbidden: it may not be read.
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
    """Tell whether the object exists already, so that no write is needed; False if it may not be read."""
    try:
        return holds(bucket, new)
    except CredentialsRefused:
        raise
    except BucketForbidden as exc:
        # Without s3:ListBucket, AWS answers "forbidden" also for a missing object.
        _log.debug("written without a look: %s", exc)
        return False


@contextmanager
def _conflict_unless_ours(bucket: Bucket, new: NewObject) -> Iterator[None]:
    try:
        yield
    except ObjectConflict as exc:
        # An input's key is its hash: another writer has stored the same content.
        if not promised_sha256(new.key) and not holds(bucket, new):
            raise StorageError(f"{new.key} was being written by another; it is not there") from exc


def _put(bucket: Bucket, new: NewObject, *, if_free: bool) -> None:
    if path := new.path_to_split:
        with bucket.talking(new.key):
            _put_parts(bucket, new, path, if_free=if_free)
        is_proved = False
    else:
        is_proved = _put_whole(bucket, new, if_free=if_free)
    if not is_proved:
        _compare_size(bucket, new.key, sent=new.size_bytes)


def _put_whole(bucket: Bucket, new: NewObject, *, if_free: bool) -> bool:
    """Send it in one request; return whether the answer proves that just these bytes were taken."""
    digest = base64.b64encode(bytes.fromhex(new.sha256)).decode()
    condition = {"IfNoneMatch": "*"} if if_free else {}
    with new.open() as body:
        checked = {"ChecksumSHA256": digest} if bucket.checks else md5_header(body)
        proof = WriteProof(new.sha256, checked.get("ContentMD5"), bucket.compares_digests)
        with bucket.talking(new.key):
            answer = put_object(
                bucket.s3,
                Bucket=bucket.name,
                Key=new.key,
                Body=body,
                **new.headers,
                **checked,
                **condition,
            )
        body.seek(0)
        return proof.holds(answer, body)


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
