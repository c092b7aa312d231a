"""What persons want of nodes and pools, by name. Nobody obeys it yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from producer.contract.operations import Desired, DesiredState
from producer.contract.queues import is_name
from producer.contract.text_cleaning import abridged, escaped
from producer.store import keys
from producer.store.connection import translated
from producer.store.times import now_ms, utc

if TYPE_CHECKING:
    from redis import Redis

_LONGEST: Final = 200  #: Characters of who wants it, and why.


class DesiredStates:
    """The wishes for all nodes (`of_nodes`), or for all pools (`of_pools`).

    Args:
        redis: connected with `decode_responses=True`.
        key: `keys.DESIRED` or `keys.POOLS`.
    """

    def __init__(self, redis: Redis, key: str) -> None:
        self._redis = redis
        self._key = key

    def set(
        self,
        name: str,
        state: DesiredState,
        *,
        actor: str,
        reason: str = "",
        until: datetime | None = None,
    ) -> Desired:
        """Want a state of a node or pool from now on, in place of what was wanted before.

        Args:
            until: aware; then the wish is over.

        Raises:
            ValueError: *name* is no name of a node or pool, or *until* has no time zone.
        """
        if not is_name(name):
            raise ValueError(f"{abridged(escaped(name), most=80)!r} is no name of a node or pool")
        if until is not None and until.tzinfo is None:
            raise ValueError("until has no time zone")
        wish = Desired(
            state=state,
            actor=_short(actor),
            reason=_short(reason),
            since=utc(now_ms(self._redis)),
            until=until and until.astimezone(UTC),
        )
        with translated(self._redis):
            self._redis.hset(self._key, name, wish.model_dump_json(exclude_none=True))
        return wish

    def get(self) -> dict[str, Desired]:
        """Return what is wanted at this moment, by name; what makes no sense is left out."""
        now = utc(now_ms(self._redis))
        wishes = ((name, _read(text)) for name, text in self._all().items())
        return {
            name: wish
            for name, wish in wishes
            if wish is not None and (wish.until is None or wish.until > now)
        }

    def clear(self, name: str) -> bool:
        """Want nothing special of it any more; return whether something was wanted."""
        with translated(self._redis):
            return bool(self._redis.hdel(self._key, name))

    def torn(self) -> Iterator[str]:
        """Give the names whose entry makes no sense; one with a word of a newer version does."""
        return (name for name, text in self._all().items() if _read(text) is None)

    def _all(self) -> dict[str, str]:
        with translated(self._redis):
            found: Any = self._redis.hgetall(self._key)
        return dict(found)


def of_nodes(redis: Redis) -> DesiredStates:
    """Return what is wanted of nodes."""
    return DesiredStates(redis, keys.DESIRED)


def of_pools(redis: Redis) -> DesiredStates:
    """Return what is wanted of pools."""
    return DesiredStates(redis, keys.POOLS)


def _short(text: str) -> str:
    return abridged(escaped(text), most=_LONGEST)


def _read(text: str) -> Desired | None:
    try:
        wish = Desired.model_validate(json.loads(text))
    except (ValueError, TypeError):
        return None
    times = [at for at in (wish.since, wish.until) if at is not None]
    return wish if all(at.tzinfo for at in times) else None
