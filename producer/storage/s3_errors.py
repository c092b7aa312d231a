"""Turns what boto3 raises into the project's own errors, and says what to try.

Messages name the endpoint and the bucket, and never hold a credential.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from producer.contract.errors import (
    BucketForbidden,
    BucketMissing,
    ObjectConflict,
    ObjectMissing,
    StorageError,
    StorageUnreachable,
)

_CLOCK: Final = "the clock of this machine is wrong: set it"
_REGION: Final = "set COMFYFLEET_S3_REGION to the region of the bucket"

#: Why the store does not let us in, and what to try.
_FORBIDDEN: Final = {
    "InvalidAccessKeyId": "the store knows no such access key: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong: check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the session token has expired: renew the credentials",
    "InvalidToken": "the session token is not valid: renew the credentials",
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "IllegalLocationConstraintException": _REGION,
}
_MAY_NOT: Final = "these credentials may not do this here: check the policy of user and bucket"

#: Somebody else was quicker with this key; or we were, and the answer was lost on its way.
_TAKEN: Final = {
    "PreconditionFailed",
    "ConditionalRequestConflict",
    "OperationAborted",
    "NoSuchUpload",
}

_NO_CREDENTIALS: Final = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or COMFYFLEET_S3_CREDENTIALS_FILE,"
    " or use a profile or role that boto3 finds"
)


class NotSupported(StorageError):
    """The store does not know how to do this."""


@dataclass(frozen=True)
class Place:
    """What a request is about, as messages name it."""

    endpoint: str
    bucket: str
    key: str | None = None

    def __str__(self) -> str:
        """Read as `bucket renders at http://127.0.0.1:9000`."""
        return f"bucket {self.bucket} at {self.endpoint}"


@contextmanager
def translated(place: Place) -> Iterator[None]:
    """Raise one of our errors for each of boto3's; others pass through.

    Raises:
        StorageUnreachable: nobody answers, or not to the end.
        BucketMissing, BucketForbidden, ObjectMissing: as their names say.
        ObjectConflict: the condition of a write does not hold.
        StorageError: the store had trouble; the same request may succeed later.
    """
    try:
        yield
    except Exception as exc:
        error = _error_for(exc, place)
        if error is None:
            raise
        raise error from exc


def _error_for(exc: Exception, place: Place) -> StorageError | None:
    # Imported here because commands that store nothing need not load botocore.
    from botocore import exceptions as boto  # noqa: PLC0415

    if isinstance(exc, boto.ClientError):
        return _refusal(exc.response, place)
    if isinstance(exc, boto.NoCredentialsError | boto.CredentialRetrievalError):
        return _no_credentials(place)
    if isinstance(exc, boto.PartialCredentialsError | boto.ProfileNotFound | boto.ConfigParseError):
        return _no_credentials(place)
    if isinstance(exc, boto.HTTPClientError | boto.ConnectionError | boto.IncompleteReadError):
        return StorageUnreachable(
            f"{place} does not answer, or not to the end ({type(exc).__name__})",
            advice="is the store running, and COMFYFLEET_S3_ENDPOINT_URL its address?",
        )
    if isinstance(exc, boto.BotoCoreError):
        return StorageError(f"{place}: {exc}")
    return None


def _refusal(response: dict[str, Any], place: Place) -> StorageError:
    """Return the error for an answer of the store other than 2xx."""
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(response.get("Error", {}).get("Code", status))
    # An answer to HEAD has no body, so its code is but the status.
    if code == "NoSuchBucket" or (status == HTTPStatus.NOT_FOUND and place.key is None):
        return BucketMissing(
            f"there is no bucket {place.bucket} at {place.endpoint}",
            advice="create it, or set COMFYFLEET_S3_BUCKET",
        )
    if code in _TAKEN or status == HTTPStatus.PRECONDITION_FAILED:
        return ObjectConflict(f"{place}: the key {place.key} is taken ({code})")
    if status == HTTPStatus.NOT_FOUND:
        return ObjectMissing(f"{place} holds no object {place.key}")
    if code in _FORBIDDEN or status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return BucketForbidden(
            f"{place} refuses us ({code})", advice=_FORBIDDEN.get(code, _MAY_NOT)
        )
    if status == HTTPStatus.NOT_IMPLEMENTED:
        return NotSupported(f"{place} cannot do this ({code})")
    said = response.get("Error", {}).get("Message", "")
    return StorageError(f"{place} answered {status} {code}: {said}".rstrip(": "))


def _no_credentials(place: Place) -> BucketForbidden:
    return BucketForbidden(f"no credentials for {place}", advice=_NO_CREDENTIALS)
