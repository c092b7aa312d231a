"""Bucket of the settings: checks that it exists, takes writes, and supports conditions and checksums."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from copy import copy
from typing import Any, Final

from producer.contract.config.settings import Settings, without_password
from producer.contract.errors import (
    BucketForbidden,
    BucketMissing,
    CredentialsRefused,
    ObjectConflict,
    StorageError,
    StorageFault,
    StorageRefused,
    StorageUnreachable,
)
from producer.storage.content_md5 import md5_header
from producer.storage.object_headers import ObjectStat
from producer.storage.object_keys import probe_key
from producer.storage.put_object import put_object
from producer.storage.s3_client import LazyClient
from producer.storage.s3_codes import SIGNED_OTHERWISE
from producer.storage.s3_errors import NotSupported, Place, has_stale_credentials, translated
from producer.storage.write_proof import wrong_digest

_log = logging.getLogger(__name__)

_PROBE: Final = b"probe"


class Bucket:
    """The bucket of the settings. Thread-safe; it connects at first use."""

    def __init__(self, settings: Settings) -> None:
        self.name = settings.s3_bucket
        self.has_conditions = True  #: Until a write or `honours_conditions` finds otherwise.
        self.checks = settings.s3_checksums == "when_supported"  #: With newer checksums.
        self._compares_digests: bool | None = None  # not known yet
        self._endpoint = without_password(settings.s3_endpoint_url or "AWS S3")
        self._prefix = settings.s3_prefix
        self._region = settings.s3_region
        self._client = LazyClient(settings)

    @property
    def s3(self) -> Any:
        """The boto3 client; use it inside `talking`."""
        return self._client.get()

    @contextmanager
    def talking(self, key: str | None = None, *, bucket: str | None = None) -> Iterator[None]:
        """Translate boto3's errors into those of `s3_errors.translated`, naming *key* if given."""
        try:
            with translated(Place(self._endpoint, bucket or self.name, key)):
                yield
        except CredentialsRefused as exc:
            if has_stale_credentials(exc):
                self._client.renew()
            raise

    def stat(self, key: str) -> ObjectStat:
        """Return size, hash, media type and metadata of an object.

        Raises:
            ObjectMissing: there is none.
        """
        try:
            with self.talking(key):
                answer = self.s3.head_object(Bucket=self.name, Key=key)
        except CredentialsRefused:
            raise
        except (BucketForbidden, StorageRefused):
            # HEAD may be refused, and has no body with the reason; GET has the same headers and a reason.
            return self._stat_by_get(key)
        return ObjectStat.of(answer) if "ContentLength" in answer else self._stat_by_get(key)

    def _stat_by_get(self, key: str) -> ObjectStat:
        with self.talking(key):
            answer = self.s3.get_object(Bucket=self.name, Key=key)
            with closing(answer["Body"]) as body:
                if "ContentLength" not in answer:
                    answer["ContentLength"] = sum(map(len, body.iter_chunks(256 << 10)))
            return ObjectStat.of(answer)

    def sibling(self, name: str) -> Bucket:
        """Return another bucket of the same service, over the same connections; nothing is tried out in it.

        Its errors do not tell the service's address: they are shown to whoever named the bucket.
        """
        other = copy(self)
        other.name = name
        other._endpoint = "the fleet's S3 service"  # noqa: SLF001 - of its own class
        other._compares_digests = False  # noqa: SLF001 - of its own class
        return other

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def probe(self) -> None:
        """Check that the bucket exists and takes a write; that it can be listed is not required.

        Raises:
            StorageError: it does not, as the kind of error says.
        """
        # A write alone does not prove that it exists: SeaweedFS creates a missing bucket.
        is_let_in = self._is_let_in()
        try:
            self._write_probe()
        except StorageError as exc:
            if not (self.checks and _may_be_checksums(exc, is_let_in=is_let_in)):
                raise
            self._probe_without_checksums(exc)

    def honours_conditions(self) -> bool:
        """Test whether a write with `If-None-Match: *` does not overwrite an existing key, as on AWS.

        Some gateways overwrite, some refuse the header. The result is kept: without conditions each
        write asks for the object first, which does not protect against two simultaneous writers of
        one key. The test always writes the same key, since it may not have the right to delete.
        """
        self._write_probe()
        try:
            self._write_probe(IfNoneMatch="*")
            self.has_conditions = False
        except ObjectConflict:
            self.has_conditions = True
        except StorageRefused:
            self.has_conditions = False
        return self.has_conditions

    def compares_digests(self) -> bool:
        """Test once whether the S3 service refuses a body whose digest is wrong; False if it does not say.

        AWS and SeaweedFS do; some gateways repeat any digest unread, so that theirs proves nothing.
        """
        if self._compares_digests is None:
            try:
                self._write_probe(**wrong_digest(sha256=self.checks))
                self._compares_digests = False
                _log.info("this store takes any checksum: what is written is looked at again")
            except (StorageUnreachable, StorageFault, BucketForbidden) as exc:
                _log.debug("not known whether this store compares checksums: %s", exc)
            except StorageError as exc:
                _log.debug("this store compares checksums: %s", exc)
                self._compares_digests = True
        return bool(self._compares_digests)

    def create_if_missing(self) -> None:
        """Create the bucket if it does not exist."""
        try:
            with self.talking():
                self.s3.head_bucket(Bucket=self.name)
        except BucketMissing:
            with self.talking():
                self._create()

    def _is_let_in(self) -> bool:
        """Raise if the bucket does not exist; tell whether the credentials are accepted and may list it."""
        try:
            with self.talking():
                self.s3.head_bucket(Bucket=self.name)
        except BucketMissing:
            raise
        except (BucketForbidden, StorageRefused):
            return self._list_nothing()
        return True

    def _list_nothing(self) -> bool:
        """List no object, for the reason that HEAD does not give; return False if only listing is denied."""
        try:
            with self.talking():
                self.s3.list_objects_v2(Bucket=self.name, MaxKeys=0)
        except (CredentialsRefused, BucketMissing):
            raise
        except BucketForbidden as exc:
            if "COMFYFLEET_S3_REGION" in (exc.advice or ""):
                raise
            _log.info("%s", exc)
            return False
        except NotSupported:
            return False
        return True

    def put(self, key: str, body: bytes, **params: str) -> None:
        """Store a small object, in place of what is there; *params* are those of boto3's `put_object`."""
        checked = {} if self.checks else md5_header(body)
        with self.talking(key):
            put_object(self.s3, Bucket=self.name, Key=key, Body=body, **{**checked, **params})

    def _write_probe(self, **headers: str) -> None:
        self.put(probe_key(self._prefix, name="write"), _PROBE, **headers)

    def _probe_without_checksums(self, refused: StorageError) -> None:
        self._client.do_without_checksums()
        self.checks = False
        try:
            self._write_probe()
        except StorageError as exc:
            if isinstance(refused, CredentialsRefused) and isinstance(exc, CredentialsRefused):
                raise CredentialsRefused(
                    refused.message, code=refused.code, advice=SIGNED_OTHERWISE
                ) from exc
            raise refused from exc
        _log.warning(
            "%s; it takes a write without newer checksums, so they are left off: "
            "set COMFYFLEET_S3_CHECKSUMS=when_required",
            refused.message,
        )

    def _create(self) -> None:
        # us-east-1 is the one region that S3 refuses as a LocationConstraint.
        elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        options = {} if self._region == "us-east-1" else elsewhere
        try:
            self.s3.create_bucket(Bucket=self.name, **options)
        except self.s3.exceptions.BucketAlreadyOwnedByYou:
            return  # another process was quicker


def _may_be_checksums(error: StorageError, *, is_let_in: bool) -> bool:
    """Tell whether a write may have been refused because of its newer checksum."""
    if isinstance(error, CredentialsRefused):
        return is_let_in and error.code == "SignatureDoesNotMatch"
    return isinstance(error, StorageRefused) or "ContentSHA256Mismatch" in error.message
