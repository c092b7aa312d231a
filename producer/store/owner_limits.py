"""What owners have waiting and running, have used, and may have waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from producer.contract.owners import OwnerUsage
from producer.store import keys
from producer.store.connection import translated
from producer.store.counts import count_of
from producer.store.job_lists import owners

if TYPE_CHECKING:
    from redis import Redis


def usage_of(redis: Redis, names: Sequence[str]) -> list[OwnerUsage]:
    """Return what some owners have and have used, in one round trip."""
    with translated(redis), redis.pipeline(transaction=False) as pipe:
        for owner in names:
            pipe.hmget(keys.owner(owner), ["waiting", "running", "gpu_ms"])
            pipe.hget(keys.OWNER_LIMITS, owner)
        replies: list[Any] = pipe.execute()
    return [
        _usage(owner, counts, limit)
        for owner, counts, limit in zip(names, replies[::2], replies[1::2], strict=True)
    ]


def known_owners(redis: Redis) -> list[str]:
    """Return everybody who has jobs, counts or a limit, but for the default owner, sorted."""
    with translated(redis):
        counted = {key.removeprefix(keys.OWNER) for key in redis.scan_iter(f"{keys.OWNER}*")}
        limited: Any = redis.hkeys(keys.OWNER_LIMITS)
    return sorted({*owners(redis), *counted, *limited} - {""})


def set_limit(redis: Redis, owner: str, limit: int | None) -> None:
    """Set how many jobs of an owner may wait; None takes the limit away. What waits already stays."""
    with translated(redis):
        if limit is None:
            redis.hdel(keys.OWNER_LIMITS, owner)
        else:
            redis.hset(keys.OWNER_LIMITS, owner, str(limit))


def torn_limits(redis: Redis) -> dict[str, str]:
    """Return the limits that are no numbers, by owner; scripts take them for none."""
    with translated(redis):
        found: Any = redis.hgetall(keys.OWNER_LIMITS)
    return {owner: text for owner, text in found.items() if _limit(text) is None}


def _usage(owner: str, counts: Sequence[str | None], limit: str | None) -> OwnerUsage:
    found = dict(zip(("waiting", "running", "gpu_seconds"), map(count_of, counts), strict=True))
    waiting, running, gpu_ms = (count or 0 for count in found.values())
    return OwnerUsage(
        owner=owner,
        waiting=waiting,
        running=running,
        gpu_seconds=gpu_ms / 1000,
        max_waiting=_limit(limit),
        torn=tuple(name for name, count in found.items() if count is None),
    )


def _limit(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() else None
