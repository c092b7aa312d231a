"""Errors of who asks: access keys, their rates, and limits of what may wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from producer.contract.errors.base import FleetError
from producer.contract.number_words import how_many


class AccessKeyNotValid(FleetError):
    """The API key is unknown, was revoked, or has expired."""


class ScopeMissing(FleetError):
    """The API key does not allow what was asked for."""

    def __init__(self, key: str, scope: str, scopes: Sequence[str]) -> None:
        super().__init__(
            f"access key {key} has the scopes {', '.join(scopes)}; this needs {scope}",
            advice="ask for a key with this scope",
        )
        self.scope = scope


class TooManyRequests(FleetError):
    """The API key was used faster than it may be.

    Args:
        after: when to come again.
    """

    def __init__(self, message: str, *, after: timedelta) -> None:
        super().__init__(message, advice=f"come again in {after.total_seconds():.3g} s")
        self.after = after


class BacklogFull(FleetError):
    """The limit of waiting jobs (`max_queued`) would be exceeded; nothing was accepted."""

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(
            f"{how_many(waiting, 'job')} waiting already; the limit is {limit:,} (COMFYFLEET_MAX_QUEUED)",
            advice="submit later, or fewer at once",
        )
        self.waiting = waiting
        self.limit = limit


class OwnerBacklogFull(BacklogFull):
    """The limit of what an owner may have waiting would be exceeded; nothing was accepted."""

    def __init__(self, owner: str, waiting: int, limit: int) -> None:
        FleetError.__init__(
            self,
            f"owner {owner} has {how_many(waiting, 'job')} waiting; its limit is {limit:,}",
            advice="submit later, or fewer at once; comfyfleet owner limit sets another limit",
        )
        self.owner = owner
        self.waiting = waiting
        self.limit = limit


class TooManyOpenBatches(OwnerBacklogFull):
    """An owner has as many batches open as it may; nothing was opened. `waiting` counts them."""

    def __init__(self, owner: str, waiting: int, limit: int) -> None:
        super().__init__(owner, waiting, limit)
        FleetError.__init__(
            self,
            f"owner {owner} has {waiting:,} open batches; the limit is {limit:,}",
            advice="seal those that are complete, and cancel those that are not wanted",
        )


class TooManyActions(OwnerBacklogFull):
    """As many actions of an owner on many jobs wait or run as may; none was begun. `waiting` counts them."""

    def __init__(self, owner: str, waiting: int, limit: int) -> None:
        super().__init__(owner, waiting, limit)
        whose = f"owner {owner}" if owner else "the default owner"
        FleetError.__init__(
            self,
            f"{whose} has {waiting:,} actions that are not carried out yet; the limit is {limit:,}",
            advice="wait until one has ended; workers carry them out, so one must run",
        )
