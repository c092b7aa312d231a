"""Foreign inputs: translates errors of `s3://` inputs' buckets, which are not the fleet's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from producer.contract.errors import (
    BucketForbidden,
    BucketMissing,
    CredentialsRefused,
    ForeignBucketFault,
    InvalidInput,
    ObjectConflict,
    ObjectMissing,
    StorageError,
    StorageRefused,
    StorageUnreachable,
)


@contextmanager
def about_input(source: str) -> Iterator[None]:
    """Translate storage errors inside into errors of the input *source*.

    Raises:
        InvalidInput: the input cannot be read, and a retry would not help.
        ForeignBucketFault: the bucket failed, perhaps temporarily.
        ObjectMissing, ObjectConflict: raised unchanged.
    """
    try:
        yield
    except (ObjectMissing, ObjectConflict):
        raise
    except (CredentialsRefused, StorageUnreachable) as exc:
        raise ForeignBucketFault(exc.message, advice=exc.advice) from exc
    except (BucketMissing, BucketForbidden, StorageRefused) as exc:
        raise InvalidInput(
            f"the input {source[:120]} cannot be had: {exc.message}",
            advice="name a bucket and an object that the workers' credentials may read",
        ) from exc
    except StorageError as exc:
        raise ForeignBucketFault(exc.message, advice=exc.advice) from exc
