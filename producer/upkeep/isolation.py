"""What is wrong with one record stops no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import Logger

from producer.contract.errors import FleetError


@contextmanager
def stopping_no_other(log: Logger, told: str, name: str) -> Iterator[None]:
    """Log what breaks inside and go on with the next.

    A `FleetError` passes: where Redis is away, all must wait.

    Args:
        told: what the log says then, with a place for *name*.
    """
    try:
        yield
    except FleetError:
        raise
    except Exception:
        log.exception(told, name)
