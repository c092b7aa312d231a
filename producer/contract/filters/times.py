"""Times in a filter: a date, or a date with an hour, and what lies before or after it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_FORM: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?P<seconds>:\d\d)?(?P<zone>Z|[+-]\d\d:\d\d)?)?", re.ASCII
)
_EXPECTED: Final = "expected a time as 2026-11-27 or 2026-11-27T18:30, perhaps after >, >=, < or <="


@dataclass(frozen=True)
class TimeSpan:
    """From *since* on, and before *until*; None where it has no bound. Both are aware and UTC."""

    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, at: datetime) -> bool:
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)

    def within(self, other: TimeSpan) -> TimeSpan:
        """Return what lies in both."""
        since = max(filter(None, (self.since, other.since)), default=None)
        until = min(filter(None, (self.until, other.until)), default=None)
        return TimeSpan(since, until)

    @property
    def is_empty(self) -> bool:
        """Whether no time lies in it."""
        return self.since is not None and self.until is not None and self.since >= self.until


def read_span(text: str) -> TimeSpan:
    """Read a time with the sign before it, if any.

    Raises:
        ValueError: saying what is wrong and what is expected.
    """
    sign = next((sign for sign in (">=", "<=", ">", "<") if text.startswith(sign)), "")
    begin, length = _read(text[len(sign) :])
    try:
        end = begin + length
    except OverflowError:
        raise ValueError(f"lies beyond the last day that there is; {_EXPECTED}") from None
    match sign:
        case ">":
            return TimeSpan(since=end)
        case ">=":
            return TimeSpan(since=begin)
        case "<":
            return TimeSpan(until=begin)
        case "<=":
            return TimeSpan(until=end)
    return TimeSpan(begin, end)


def _read(text: str) -> tuple[datetime, timedelta]:
    """Return where a time begins, and how long it is: a day, a minute or a second."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(f"is no time; {_EXPECTED}")
    try:
        found = datetime.fromisoformat(text)
        begin = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the 30th of February; an offset before the year 1
        raise ValueError(f"is no time that there is; {_EXPECTED}") from None
    if "T" not in text and " " not in text:
        return begin, timedelta(days=1)
    return begin, timedelta(seconds=1) if form["seconds"] else timedelta(minutes=1)
