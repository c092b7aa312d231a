"""S3 errors: translates boto3's exceptions into the project's own, with advice.

Messages name the endpoint and the bucket, and never hold a credential.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from producer.contract.errors import (
    BucketForbidden,
    BucketFull,
    BucketMissing,
    CredentialsRefused,
    ObjectConflict,
    ObjectMissing,
    StorageError,
    StorageFault,
    StorageRefused,
    StorageUnreachable,
    UnclearRefusal,
)
from producer.storage.s3_codes import (
    CREDENTIALS,
    ELSEWHERE,
    FULL,
    PASSING,
    STALE,
    TAKEN,
    region_advice,
    rights_advice,
)

_NO_CREDENTIALS: Final = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or COMFYFLEET_S3_CREDENTIALS_FILE,"
    " or use a profile or role that boto3 finds"
)


#: Raised by boto3 where a part of an answer is missing, or of another type.
_SURPRISES: Final = (
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError),
    *(RecursionError, MemoryError),
)


class NotSupported(StorageRefused):
    """The S3 service does not support the request."""


@dataclass(frozen=True)
class Place:
    """What a request is for: endpoint, bucket and key, as messages name them."""

    endpoint: str
    bucket: str
    key: str | None = None

    def __str__(self) -> str:
        """Return it as `bucket renders at http://127.0.0.1:9000`."""
        return f"bucket {self.bucket} at {self.endpoint}"


@contextmanager
def translated(place: Place) -> Iterator[None]:
    """Translate boto3's errors raised inside; others are raised unchanged.

    Raises:
        StorageUnreachable: no answer, or an incomplete one.
        BucketMissing, BucketForbidden, BucketFull, ObjectMissing: as their names say.
        ObjectConflict: the condition of a write does not hold.
        StorageRefused: the same request would be refused again.
        StorageFault: it answered, but not as S3 does.
        StorageError: the request failed; it may succeed later.
    """
    try:
        yield
    except Exception as exc:
        error = _error_for(exc, place)
        if error is None:
            raise
        raise error from exc


def has_stale_credentials(error: StorageError) -> bool:
    """Tell whether reading the credentials again may help against *error*."""
    return isinstance(error, CredentialsRefused) and error.code in STALE


def _error_for(exc: Exception, place: Place) -> StorageError | None:
    # Imported here, since commands without S3 should not load botocore.
    from botocore import exceptions as boto  # noqa: PLC0415

    if isinstance(exc, boto.ClientError):
        return _Answer(exc.response, str(exc.operation_name), place).error
    if isinstance(
        exc,
        boto.NoCredentialsError
        | boto.CredentialRetrievalError
        | boto.PartialCredentialsError
        | boto.ProfileNotFound
        | boto.ConfigParseError
        | boto.TokenRetrievalError
        | boto.SSOError,
    ):
        return CredentialsRefused(f"no credentials for {place}", advice=_NO_CREDENTIALS)
    if isinstance(exc, boto.ParamValidationError | boto.ValidationError) or _is_malformed(exc):
        return StorageRefused(f"{place}: no store takes this request: {_one_line(exc)}")
    if isinstance(exc, boto.HTTPClientError | boto.ConnectionError | boto.IncompleteReadError):
        return _unreachable(exc, place)
    if isinstance(exc, boto.BotoCoreError):
        return StorageFault(f"{place}: {_one_line(exc)}")
    return _surprise(exc, place)


def _surprise(exc: Exception, place: Place) -> StorageFault | None:
    if isinstance(exc, _SURPRISES):
        return StorageFault(f"{place} answered not as S3 does ({_one_line(repr(exc))[:80]})")
    return None


def _is_malformed(exc: Exception) -> bool:
    """Tell whether the request could not be encoded: a header with a line feed, for instance."""
    kwargs = getattr(exc, "kwargs", {})
    return isinstance(kwargs.get("error"), ValueError)


def _unreachable(exc: Exception, place: Place) -> StorageUnreachable:
    host = urlsplit(str(getattr(exc, "kwargs", {}).get("endpoint_url", ""))).hostname or ""
    if host.startswith(f"{place.bucket}."):
        advice = f"is there such a host as {host}? If not, COMFYFLEET_S3_ADDRESSING_STYLE=path"
    else:
        advice = "is the store running, and COMFYFLEET_S3_ENDPOINT_URL its address?"
    return StorageUnreachable(
        f"{place} does not answer, or not to the end ({type(exc).__name__})", advice=advice
    )


@dataclass(frozen=True)
class _Answer:
    """An answer of the S3 service with another status than 2xx."""

    response: dict[str, Any]
    operation: str
    place: Place

    @property
    def status(self) -> int:
        return int(self.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))

    @property
    def code(self) -> str:
        # An answer to HEAD has no body, so its code is only the status.
        return str(self.response.get("Error", {}).get("Code") or self.status)[:80]

    @property
    def error(self) -> StorageError:
        """The project's error for it: the first kind that fits."""
        return self._absence() or self._refusal_of_us() or self._answer_to_the_request()

    def _absence(self) -> StorageError | None:
        code, place, is_absent = self.code, self.place, self.status == HTTPStatus.NOT_FOUND
        if code == "NoSuchBucket" or (is_absent and place.key is None):
            return BucketMissing(
                f"there is no bucket {place.bucket} at {place.endpoint}", advice=_create(place)
            )
        if code in TAKEN or self.status == HTTPStatus.PRECONDITION_FAILED:
            return ObjectConflict(f"{place}: the key {place.key} is taken ({code})")
        return ObjectMissing(f"{place} holds no object {place.key}") if is_absent else None

    def _refusal_of_us(self) -> StorageError | None:
        code, place = self.code, self.place
        refuses = f"{place} refuses us"
        if code in CREDENTIALS:
            return CredentialsRefused(f"{refuses} ({code})", code=code, advice=CREDENTIALS[code])
        if code in ELSEWHERE:
            return BucketForbidden(f"{refuses} ({code})", advice=region_advice(self.response))
        if code in FULL or self.status == HTTPStatus.INSUFFICIENT_STORAGE:
            return BucketFull(
                f"{place} is full ({code})", advice="delete there, or raise the quota"
            )
        if self.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            advice = rights_advice(self.operation)
            return BucketForbidden(f"{refuses} {self.operation} ({code})", advice=advice)
        return None

    def _answer_to_the_request(self) -> StorageError:
        status, code = self.status, self.code
        said = _one_line(self.response.get("Error", {}).get("Message", ""))
        answered = f"{self.place} answered {status} {code} to {self.operation}: {said}"
        answered = answered.rstrip(": ")
        if status in {HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.METHOD_NOT_ALLOWED}:
            return NotSupported(answered)
        # HTTP servers, as SeaweedFS', answer so to a request that was cut or damaged on its way; an
        # answer to HEAD never has a code.
        if code == str(status) == "400" and not self.operation.startswith("Head"):
            return UnclearRefusal(answered)
        is_final = 400 <= status < 500 and not {code, str(status)} & PASSING  # noqa: PLR2004
        return StorageRefused(answered) if is_final else StorageError(answered)


def _create(place: Place) -> str:
    if path := urlsplit(place.endpoint).path.strip("/"):
        return (
            f"COMFYFLEET_S3_ENDPOINT_URL ends in /{path}: if that is the bucket, leave it off and "
            f"set COMFYFLEET_S3_BUCKET={path}"
        )
    return "create it, or set COMFYFLEET_S3_BUCKET"


def _one_line(said: object) -> str:
    return " ".join(str(said).split())[:300]
