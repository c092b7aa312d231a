"""Methods for owners; `ListMethods` inherits them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.contract.errors import InvalidJob
from producer.contract.owners import HIGHEST_LIMIT, OwnerUsage, owner_named
from producer.store.actions import Actions
from producer.store.owner_limits import known_owners, set_limit, usage_of

if TYPE_CHECKING:
    from redis import Redis


class OwnerMethods:
    """What owners have in the fleet, and may have."""

    _redis: Redis
    _actions: Actions

    def owner(self, name: str) -> OwnerUsage:
        """Return what an owner has waiting and running, has used of cards, and may have waiting.

        Raises:
            InvalidJob: no owner can have this name; what has none is counted nowhere.
        """
        [found] = usage_of(self._redis, [owner_named(name)])
        return found

    def owners(self) -> list[OwnerUsage]:
        """Return the same of everybody who has jobs in the fleet, has had some lately, or has a limit."""
        return usage_of(self._redis, known_owners(self._redis))

    def limit_owner(self, name: str, *, max_waiting: int | None) -> OwnerUsage:
        """Set how many jobs of an owner may wait, and return what it has now.

        A job, a retry or a batch with which more would wait is refused as a whole. What waits already stays.

        Args:
            max_waiting: held and queued jobs, and rows of batches that have not begun; None: no limit.

        Raises:
            InvalidJob: no owner can have this name, or the limit is no whole number from 0 to 10^9.
        """
        owner = owner_named(name)
        is_number = isinstance(max_waiting, int) and not isinstance(max_waiting, bool)
        if max_waiting is not None and not (is_number and 0 <= max_waiting <= HIGHEST_LIMIT):
            raise InvalidJob(
                f"max_waiting is {str(max_waiting)[:80]!r}; expected a whole number from 0 to {HIGHEST_LIMIT:,}, "
                "or None for no limit",
                field="max_waiting",
            )
        set_limit(self._redis, owner, max_waiting)
        limit = "no limit" if max_waiting is None else f"max_waiting {max_waiting}"
        self._actions.write("owner.limit", selection=owner, owner=owner, detail=limit)
        return self.owner(owner)
