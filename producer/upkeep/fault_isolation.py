"""Fault isolation: what breaks over one record is logged, and the others are handled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import Logger

from producer.contract.errors import FleetError


@contextmanager
def stopping_no_other(log: Logger, message: str, name: str) -> Iterator[None]:
    """Log what breaks inside and go on with the next.

    A `FleetError` passes: where Redis is away, all must wait.

    Args:
        message: what is logged then, with `%s` for *name*.
    """
    try:
        yield
    except FleetError:
        raise
    except Exception:
        log.exception(message, name)
