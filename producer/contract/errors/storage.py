"""Errors of the bucket that artifacts are stored in, and of others that inputs come from."""

from __future__ import annotations

from producer.contract.errors.base import FleetError


class StorageError(FleetError):
    """A request to S3 failed; unless a subclass says otherwise, it may succeed later."""


class StorageUnreachable(StorageError):
    """The endpoint does not answer."""


class BucketMissing(StorageError):
    """The bucket does not exist."""


class BucketForbidden(StorageError):
    """The S3 service denies access; the message names the operation."""


class CredentialsRefused(BucketForbidden):
    """The S3 service does not accept the credentials, or there are none.

    Args:
        code: the S3 error code; empty if no request was sent.
    """

    def __init__(self, message: str, *, code: str = "", advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.code = code


class BucketFull(StorageError):
    """The S3 service is full, or its quota is used up."""


class StorageFault(StorageError):
    """The S3 service, or a proxy before it, answered, but not as S3 does."""


class UnclearRefusal(StorageFault):
    """A 400 without an S3 error code, as a web server sends for a request that it cannot parse."""


class StorageRefused(StorageError):
    """The S3 service refused the request, and would refuse it again."""


class ForeignBucketFault(StorageError):
    """The bucket of an `s3://` input failed, perhaps temporarily; the fleet's own may be available."""


class ObjectMissing(StorageError):
    """There is no object under this key."""


class ObjectConflict(StorageError):
    """There is an object of other content under this key."""
