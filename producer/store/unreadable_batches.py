"""Unreadable batches: what makes no sense in a batch's record or rows is told as one error, which names the batch."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from producer.contract.errors import UnreadableBatch
from producer.contract.ids import BatchId
from producer.store import keys
from producer.store.record_reader import first_line

#: Raised by reading a record, a count or rows that make no sense.
SENSELESS: Final = (
    *(ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError),
    zlib.error,
)


@contextmanager
def sense_of(batch: BatchId, part: str = "the record") -> Iterator[None]:
    """Raise UnreadableBatch, with the name of the batch, for what makes no sense.

    Args:
        part: what of the batch is read.
    """
    try:
        yield
    except SENSELESS as exc:
        raise unreadable(batch, exc, part) from exc


def unreadable(batch: BatchId, error: Exception, part: str = "the record") -> UnreadableBatch:
    """Return the error of a batch of which something makes no sense."""
    return UnreadableBatch(
        f"{part} of batch {batch} cannot be read: {first_line(error)}",
        key=keys.batch(batch),
        advice="comfyfleet check --repair counts anew what can be counted, and names the rest",
    )
