"""Object store: stores artifacts, inputs and JSON in the bucket; fetches them, and makes URLs.

Every method raises the errors of `producer.storage.s3_errors`, which name endpoint and bucket.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from producer.contract.config.settings import Settings
from producer.contract.errors import InvalidInput, ObjectConflict, StorageError
from producer.storage.bucket import Bucket
from producer.storage.foreign_inputs import about_input
from producer.storage.input_sources import check_input, sha256_of
from producer.storage.object_headers import ObjectStat, content_disposition
from producer.storage.object_keys import input_key, promised_sha256, split_s3_url
from producer.storage.s3_client import LazyClient
from producer.storage.write_once import NewObject, is_there, write_once

_CHUNK_BYTES: Final = 256 << 10
_MOST_JSON_BYTES: Final = 128 << 20  #: A manifest of 20,000 files has some 10 MB.
LONGEST_URL: Final = timedelta(days=7)  #: S3's own limit for a signature of version 4.
_BINARY: Final = "application/octet-stream"


@dataclass(frozen=True)
class FetchedFile:
    """Size and hash of a file, computed while it was read."""

    bytes: int
    sha256: str


class ObjectStore:
    """The objects in the bucket of the settings. Thread-safe.

    It connects, and imports boto3, at first use.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bucket = Bucket(settings)
        self._links = LazyClient(settings, endpoint=settings.s3_public_endpoint_url)

    def close(self) -> None:
        """Close the connections."""
        self._bucket.close()
        self._links.close()

    def probe(self) -> None:
        """Check that the bucket exists and takes a write; see `Bucket.probe`.

        Raises:
            StorageUnreachable, BucketMissing, BucketForbidden: it does not; has advice.
        """
        self._bucket.probe()

    def honours_conditions(self) -> bool:
        """Test whether the S3 service supports conditional writes; see `Bucket.honours_conditions`."""
        return self._bucket.honours_conditions()

    def compares_digests(self) -> bool:
        """Test whether the S3 service refuses a wrong digest, so that the right one proves something."""
        return self._bucket.compares_digests()

    def create_bucket_if_missing(self) -> None:
        """Create the bucket if it does not exist."""
        self._bucket.create_if_missing()

    def put_file(
        self,
        path: Path,
        *,
        key: str,
        sha256: str,
        media_type: str,
        metadata: Mapping[str, str],
        download_name: str,
        said: Mapping[str, str] | None = None,
    ) -> None:
        """Store a file under a key that is free, or already has the same content.

        Args:
            sha256: of the whole file, hexadecimal.
            metadata: the submitter's, any text; see `object_headers.encode_metadata`.
            said: the fleet's own metadata, which takes precedence.
            download_name: the file name under which a browser saves it.

        Raises:
            ObjectConflict: the key has other content, which stays.
        """
        new = NewObject(
            key=key,
            source=path,
            sha256=sha256,
            media_type=media_type,
            download_name=download_name,
            metadata=metadata,
            said=said or {},
        )
        write_once(self._bucket, new)

    def put_input(self, source: Path | bytes) -> str:
        """Store an input file and return its key, which is its content's hash.

        An existing object is not sent again.

        Raises:
            InvalidInput: it is missing, empty or larger than `max_input_bytes`.
        """
        check_input(source, most_bytes=self._settings.max_input_bytes)
        sha256 = sha256_of(source)
        new = NewObject(
            key=input_key(self._settings.s3_prefix, sha256=sha256),
            source=source,
            sha256=sha256,
            media_type=_BINARY,
            download_name=sha256,
            may_be_split=False,
        )
        if not is_there(self._bucket, new):
            write_once(self._bucket, new)
        return new.key

    def put_json(self, key: str, value: Any) -> None:
        """Store *value* as JSON, replacing an existing object."""
        self.put_json_text(key, json.dumps(value, ensure_ascii=False).encode())

    def put_json_text(self, key: str, body: bytes) -> None:
        """Store JSON that is written already, byte for byte, replacing an existing object."""
        self._bucket.put(key, body, ContentType="application/json")

    def get_json(self, key: str) -> Any:
        """Return the value that `put_json` stored.

        Raises:
            ObjectMissing: there is none.
            StorageError: it is no JSON.
        """
        with self._bucket.talking(key):
            answer = self._bucket.s3.get_object(Bucket=self._bucket.name, Key=key)
            text = answer["Body"].read(_MOST_JSON_BYTES + 1)
        if len(text) > _MOST_JSON_BYTES:
            raise StorageError(f"{key} holds more than {_MOST_JSON_BYTES:,} bytes, so no manifest")
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise StorageError(f"{key} holds no JSON: {exc}") from exc

    def fetch(self, source: str, path: Path, *, sha256: str | None = None) -> FetchedFile:
        """Write an object to *path*; if that fails, no file is left there.

        Args:
            source: a key, or `s3://BUCKET/KEY` for any bucket that the credentials may read.
            sha256: the expected hash; by default, for an input, the hash in its key.

        Raises:
            ObjectMissing: there is none.
            ObjectConflict: its hash is not the expected one.
            InvalidInput: an `s3://` input cannot be read and a retry would not help, or is larger
                than `max_input_bytes`.
            ForeignBucketFault: the bucket of an `s3://` input failed, perhaps temporarily.
        """
        bucket, key = self._place(source)
        with _all_or_nothing(path), self._asking(source, bucket, key):
            answer = self._bucket.s3.get_object(Bucket=bucket, Key=key)
            chunks = answer["Body"].iter_chunks(_CHUNK_BYTES)
            if source.startswith("s3://"):
                self._check_size(source, int(answer.get("ContentLength", 0)))
                chunks = self._bounded(source, chunks)
            fetched = _spool(chunks, path)
            promised = sha256 or promised_sha256(key)
            if promised not in {None, fetched.sha256}:
                found = f"has {fetched.sha256}"
                raise ObjectConflict(f"{source} was to have SHA-256 {promised}, but {found}")
        return fetched

    def _bounded(self, source: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield *chunks* up to the limit of an input: some answers do not say their length."""
        size = 0
        for chunk in chunks:
            size += len(chunk)
            self._check_size(source, size)
            yield chunk

    def _check_size(self, source: str, size: int) -> None:
        if size > (limit := self._settings.max_input_bytes):
            raise InvalidInput(
                f"{source} has {size:,} bytes; the limit is {limit:,} (COMFYFLEET_MAX_INPUT_BYTES)",
                field="inputs",
            )

    def size_of(self, url: str) -> int:
        """Return the bytes of `s3://BUCKET/KEY`; errors as of `fetch`."""
        bucket, key = self._place(url)
        with self._asking(url, bucket, key):
            answer = self._bucket.s3.head_object(Bucket=bucket, Key=key)
        return int(answer.get("ContentLength", 0))

    def stat(self, key: str) -> ObjectStat:
        """Return size, media type and metadata of an object.

        Raises:
            ObjectMissing: there is none.
        """
        return self._bucket.stat(key)

    def list_keys(self, prefix: str) -> Iterator[str]:
        """Yield every key of the bucket that begins with *prefix*, sorted, a page at a time."""
        with self._bucket.talking():
            pages = self._bucket.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket.name, Prefix=prefix
            )
            for page in pages:
                yield from (found["Key"] for found in page.get("Contents", ()))

    def presigned_url(
        self, key: str, *, expires: timedelta, download_name: str | None = None
    ) -> str:
        """Return a URL by which anybody can read the object until it expires; never log it.

        It has `s3_public_endpoint_url`, if that is set. No request is made.

        Args:
            expires: from now, 7 days at most.
            download_name: browsers save the file under this name instead of showing it.

        Raises:
            ValueError: *expires* is out of range.
        """
        if not timedelta(0) < expires <= LONGEST_URL:
            raise ValueError(f"a URL may be valid for up to 7 days, not {expires}")
        params = {"Bucket": self._bucket.name, "Key": key}
        if download_name:
            params["ResponseContentDisposition"] = content_disposition(
                download_name, media_type=_BINARY
            )
        with self._bucket.talking(key):
            url = self._links.get().generate_presigned_url(
                "get_object", Params=params, ExpiresIn=int(expires.total_seconds())
            )
        return str(url)

    def _place(self, source: str) -> tuple[str, str]:
        return split_s3_url(source) if source.startswith("s3://") else (self._bucket.name, source)

    @contextmanager
    def _asking(self, source: str, bucket: str, key: str) -> Iterator[None]:
        with ExitStack() as errors:
            if bucket != self._bucket.name:
                errors.enter_context(about_input(source))
            errors.enter_context(self._bucket.talking(key, bucket=bucket))
            yield


def _spool(chunks: Iterator[bytes], path: Path) -> FetchedFile:
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for chunk in chunks:
            digest.update(chunk)
            size += file.write(chunk)
    return FetchedFile(bytes=size, sha256=digest.hexdigest())


@contextmanager
def _all_or_nothing(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
