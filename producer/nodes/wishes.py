"""Wish: what goes with anything that a person wants of nodes or pools."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from producer.acting import who_acts
from producer.contract.arguments import checked
from producer.contract.errors import InvalidJob


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Why a person wants something, when it is over by itself, and for the log of actions who it is, and where.

    Raises:
        InvalidJob: `until` is over or has no time zone, or one of them is of another type.
    """

    reason: str
    until: datetime | None = None
    actor: str
    origin: str

    def __post_init__(self) -> None:
        for name in ("reason", "actor", "origin"):
            checked(getattr(self, name), str, field=name)
        if self.until is not None:
            _check_until(checked(self.until, datetime, field="until"))

    @property
    def wanted_by(self) -> str:
        """Who it is, or, where nobody is named, who acts."""
        return self.actor or who_acts().actor


def _check_until(until: datetime) -> None:
    if until.tzinfo is None:
        raise InvalidJob("until has no time zone", field="until", advice="add one, as in +00:00")
    try:
        until.astimezone(UTC)
    except OverflowError:
        raise InvalidJob(
            "until lies beyond the last day that there is",
            field="until",
            advice="leave it out for a wish without an end",
        ) from None
    if until <= datetime.now(UTC):
        raise InvalidJob("until is over already", field="until", advice="give a time to come")
