"""Buckets that are not the fleet's: whose objects are inputs, and whose trouble is not ours."""

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
    """Tell what a foreign bucket says of the submitter's input from trouble that may pass.

    Raises:
        InvalidInput: this input will never be had, as its bucket says.
        ForeignBucketFault: it may be had later.
        ObjectMissing, ObjectConflict: as they say.
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
