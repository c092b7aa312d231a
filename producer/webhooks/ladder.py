"""When a message that its receiver did not take is tried again. Pure."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

#: Waits after each try but the last, as Standard Webhooks advises: ten tries in about three days.
LADDER: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
#: How much a wait differs by chance, so that what failed together does not come again together.
_JITTER: Final = 0.1
#: The longest wait that a receiver may ask for.
_LONGEST: Final = LADDER[-1]


def next_wait(
    tried: int, *, retry_after: str = "", chance: float | None = None
) -> timedelta | None:
    """Return how long to wait after a failed try; None after the last.

    Args:
        tried: tries so far, this one included.
        retry_after: the header of the answer: seconds, or a date. It can only make the wait longer.
        chance: 0 to 1, in place of chance.
    """
    if tried > len(LADDER):
        return None
    drawn = random.random() if chance is None else chance  # noqa: S311 - no secret
    wait = LADDER[tried - 1] * (1 + _JITTER * (2 * drawn - 1))
    return max(wait, min(_asked(retry_after), _LONGEST))


def _asked(text: str) -> timedelta:
    text = text.strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), 10**8))
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return timedelta(0)
    return max(timedelta(0), (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC))
