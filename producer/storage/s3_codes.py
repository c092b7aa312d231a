"""S3 error codes by their meaning, and the advice for them.

Codes are those of AWS' API reference, and of Ceph RGW, MinIO and SeaweedFS where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_CLOCK: Final = "the clock of this machine is wrong: set it"
_RENEW: Final = "renew the credentials; a file with newer ones is read again"
_CHECKSUMS: Final = "or this store refuses newer checksums: COMFYFLEET_S3_CHECKSUMS=when_required"

#: Codes of credentials that are not accepted → advice.
CREDENTIALS: Final[Mapping[str, str]] = {
    "InvalidAccessKeyId": "the store knows no such access key: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong: check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": f"the session token has expired: {_RENEW}",
    "ExpiredTokenException": f"the session token has expired: {_RENEW}",
    "InvalidToken": f"the session token is not valid: {_RENEW}",
    "TokenRefreshRequired": f"the session token is to be renewed: {_RENEW}",
    "InvalidSecurity": "the credentials are not valid: check them",
    "NotSignedUp": "the account of these credentials may not use S3",
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
}

#: Advice where HEAD was accepted and a write is not: the S3 service computes the checksum otherwise.
SIGNED_OTHERWISE: Final = (
    f"the secret key is right, for HEAD was let in; a proxy changes requests, {_CHECKSUMS}"
)

#: Codes after which the credentials are read again, as there may be new ones.
STALE: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidToken",
        "TokenRefreshRequired",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
    }
)

#: The bucket is in another region.
ELSEWHERE: Final = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "PermanentRedirect",
        "TemporaryRedirect",
        "IllegalLocationConstraintException",
        "301",
        "307",
    }
)

#: The S3 service is full, or its quota is used up.
FULL: Final = frozenset(
    {
        "QuotaExceeded",
        "TotalStorageQuotaExceeded",
        "ServiceQuotaExceededException",
        "XMinioStorageFull",
        "XMinioAdminBucketQuotaExceeded",
        "InsufficientStorage",
        "507",
    }
)

#: The key was written before: by another writer, or by an own request whose answer was lost.
TAKEN: Final = frozenset(
    {"PreconditionFailed", "ConditionalRequestConflict", "OperationAborted", "NoSuchUpload"}
)

#: 4xx answers after which the same request may succeed: it was too late, cut off, damaged, or throttled.
PASSING: Final = frozenset(
    {
        "408",
        "425",
        "429",
        "RequestTimeout",
        "RequestTimeoutException",
        "IncompleteBody",
        "BadDigest",
        "XAmzContentSHA256Mismatch",
        "XAmzContentChecksumMismatch",
        "InvalidPart",
        "InvalidPartOrder",
        "SlowDown",
        "TooManyRequests",
        "TooManyRequestsException",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
    }
)

#: The action that a policy must allow, by boto3's operation.
ACTIONS: Final[Mapping[str, str]] = {
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "CreateBucket": "s3:CreateBucket",
}


def region_advice(response: Mapping[str, Any]) -> str:
    """Return the advice to set the region, with its name if the answer has it."""
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = response.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region")
    if region and str(region).isprintable():
        return f"the bucket is elsewhere: COMFYFLEET_S3_REGION={str(region)[:40]}"
    return "set COMFYFLEET_S3_REGION to the region of the bucket"


def rights_advice(operation: str) -> str:
    """Return the advice which action a policy must allow for *operation*."""
    if action := ACTIONS.get(operation):
        return f"let the policy of user and bucket allow {action}; see docs/operate/storage.md"
    return "these credentials may not do this here: check the policy of user and bucket"
