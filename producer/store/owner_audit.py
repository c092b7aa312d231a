"""What `comfyfleet check` asks of owners: are their counts those of their jobs?"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from producer.contract.ids import JobId
from producer.store import keys
from producer.store.connection import replies_of, translated
from producer.store.counts import shown
from producer.store.owner_limits import set_limit, torn_limits
from producer.store.scripts import Scripts

if TYPE_CHECKING:
    from redis import Redis


class OwnerAudit:
    """Reads the counts of owners, and sets them.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis, scripts: Scripts) -> None:
        self._redis = redis
        self._scripts = scripts

    def moves(self) -> dict[str, str]:
        """Return how often the jobs of each owner have moved."""
        with translated(self._redis):
            found = list(self._redis.scan_iter(f"{keys.OWNER}*", count=1_000, _type="HASH"))
            with self._redis.pipeline(transaction=False) as pipe:
                for key in found:
                    pipe.hget(key, "moves")
                moves = replies_of(pipe)
        return {
            key.removeprefix(keys.OWNER): count or ""
            for key, count in zip(found, moves, strict=True)
            if not isinstance(count, Exception)
        }

    def unreadable(self, job_ids: Collection[JobId]) -> list[tuple[str, str]]:
        """Return owner and status of records that make no sense otherwise; they count all the same."""
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hmget(keys.job(job_id), ["owner", "status"])
            found = replies_of(pipe)
        return [(reply[0] or "", reply[1] or "") for reply in found if isinstance(reply, list)]

    def torn_limits(self, *, mend: bool) -> dict[str, str]:
        """Return the limits that are no numbers, by owner, and take them away if *mend*."""
        torn = torn_limits(self._redis)
        for owner in torn if mend else ():
            set_limit(self._redis, owner, None)
        return torn

    def mend(
        self, owner: str, *, moves: str, waiting: int | None, running: int, mend: bool
    ) -> list[tuple[str, int | str, int]]:
        """Compare an owner's counts with those of its jobs, and set them if *mend*.

        Args:
            moves: as it was before the jobs were counted: who has moved since is not judged.
            waiting: None if nobody knows.

        Returns:
            Field, count, or what else stands there, and recount of what is wrong.
        """
        reply: list[list[Any]] = self._scripts.run(
            "mend_owner",
            keys=[keys.owner(owner)],
            args=[int(mend), moves, "" if waiting is None else waiting, running],
        )
        return [(str(field), shown(found), int(recount)) for field, found, recount in reply]
