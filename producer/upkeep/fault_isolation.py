"""Fault isolation: an error over one record is logged, and does not stop work on the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import Logger

from producer.contract.errors import FleetError, KeyOfAnotherType, UnreadableRecord


@contextmanager
def stopping_no_other(log: Logger, message: str, name: str) -> Iterator[None]:
    """Log an exception raised inside, and suppress it.

    A `FleetError` is not suppressed, as in an outage of Redis all others would fail, too; but what makes no sense
    is one record.

    Args:
        message: what is logged, with `%s` for *name*.
    """
    try:
        yield
    except (KeyOfAnotherType, UnreadableRecord):
        log.exception(message, name)
    except FleetError:
        raise
    except Exception:
        log.exception(message, name)
