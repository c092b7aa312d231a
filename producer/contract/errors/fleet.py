"""Errors of the fleet itself: its settings and its Redis."""

from __future__ import annotations

from producer.contract.errors.base import FleetError


class InvalidSettings(FleetError):
    """Settings are missing or invalid; the message names each by its variable."""


class FleetUnreachable(FleetError):
    """Redis does not answer, or refuses requests; the message shows its address without password."""


class KeyOfAnotherType(FleetError):
    """A key of the fleet holds a value of another type in Redis, which somebody else wrote there.

    Args:
        key: its name; None if it could not be found.
    """

    def __init__(self, message: str, *, key: str | None = None, advice: str | None = None) -> None:
        super().__init__(message, advice=advice)
        self.key = key


class UnreadableBatch(KeyOfAnotherType):
    """The record of a batch, or what is kept of its rows, makes no sense."""
