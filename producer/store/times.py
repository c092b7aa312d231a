"""Times and durations as Redis stores them: whole milliseconds, by Redis' clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from producer.store.connection import translated

if TYPE_CHECKING:
    from redis import Redis


def now_ms(redis: Redis) -> int:
    """Return the time by Redis' clock, which the whole fleet shares, Unix ms.

    Raises:
        FleetUnreachable: Redis did not answer.
    """
    with translated(redis):
        seconds, micros = redis.time()
    return seconds * 1000 + micros // 1000


def to_ms(duration: timedelta) -> int:
    """Return whole milliseconds, the unit of every number in Redis."""
    return duration // timedelta(milliseconds=1)


def utc(ms: str | int) -> datetime:
    """Return the aware time in UTC of a field, Unix ms; raises ValueError for what is none, as a number beyond all years."""
    try:
        return datetime.fromtimestamp(int(ms) / 1000, UTC)
    except OverflowError as exc:
        raise ValueError(f"a time is beyond all years ({exc})") from exc


def maybe_utc(ms: str | None) -> datetime | None:
    """Return the same; None for a missing or empty field."""
    return utc(ms) if ms else None
