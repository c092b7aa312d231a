"""What persons want of nodes and of pools, by name; the workers obey both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from producer.contract.json_texts import read_json
from producer.contract.operations import Desired, DesiredState
from producer.contract.queues import is_name
from producer.contract.text_cleaning import abridged, escaped
from producer.store import keys
from producer.store.connection import translated
from producer.store.scripts import Scripts
from producer.store.times import now_ms, utc

if TYPE_CHECKING:
    from redis import Redis

_LONGEST: Final = 200  #: Characters of who wants it, and why.


class DesiredStates:
    """The wishes for all nodes (`of_nodes`, `quarantines`), or for all pools (`of_pools`).

    Args:
        redis: connected with `decode_responses=True`.
        key: `keys.DESIRED`, `keys.QUARANTINED` or `keys.POOLS`.
    """

    def __init__(self, redis: Redis, key: str) -> None:
        self._redis = redis
        self._key = key
        self._scripts = Scripts(redis)

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
        self._write(name, _text(wish))
        return wish

    def get(self) -> dict[str, Desired]:
        """Return what is wanted at this moment, by name; what makes no sense is left out."""
        now = now_ms(self._redis)
        wishes = ((name, present_wish(text, now=now)) for name, text in self._all().items())
        return {name: wish for name, wish in wishes if wish is not None}

    def clear(self, name: str) -> bool:
        """Want nothing special of it any more; return whether something was wanted."""
        return self._write(name, "")

    def torn(self) -> Iterator[str]:
        """Give the names whose entry makes no sense; one with a word of a newer version does."""
        return (name for name, text in self._all().items() if _read(text) is None)

    def _write(self, name: str, text: str) -> bool:
        """Write a wish, or none, and call the workers concerned; return whether there was one."""
        if self._key == keys.POOLS:
            return bool(self._scripts.run("desire_pool", keys=[self._key], args=[name, text]))
        field = "desired" if self._key == keys.DESIRED else "quarantine"
        return bool(
            self._scripts.run("desire", keys=[self._key, keys.node(name)], args=[name, text, field])
        )

    def _all(self) -> dict[str, str]:
        with translated(self._redis):
            found: Any = self._redis.hgetall(self._key)
        return dict(found)


def of_nodes(redis: Redis) -> DesiredStates:
    """Return what is wanted of nodes."""
    return DesiredStates(redis, keys.DESIRED)


def quarantines(redis: Redis) -> DesiredStates:
    """Return which nodes a person has set aside."""
    return DesiredStates(redis, keys.QUARANTINED)


def of_pools(redis: Redis) -> DesiredStates:
    """Return what is wanted of pools."""
    return DesiredStates(redis, keys.POOLS)


def present_wish(text: str | None, *, now: int | None = None) -> Desired | None:
    """Return a wish as it is written; None if there is none, it makes no sense, or it is over.

    Args:
        now: Unix ms by Redis' clock; None: whoever read it has looked.
    """
    wish = _read(text) if text else None
    if wish is None or now is None or wish.until is None:
        return wish
    return wish if wish.until > utc(now) else None


def _text(wish: Desired) -> str:
    """Return what is written down; scripts read `until_ms`."""
    fields = wish.model_dump(mode="json", exclude_none=True)
    return json.dumps({**fields, "until_ms": _unix_ms(wish.until)} if wish.until else fields)


def _unix_ms(at: datetime) -> int:
    """Return an aware time as Unix ms."""
    return round(at.timestamp() * 1000)


def _short(text: str) -> str:
    return abridged(escaped(text), most=_LONGEST)


def _read(text: str) -> Desired | None:
    try:
        wish = Desired.model_validate(read_json(text))
    except (ValueError, TypeError):
        return None
    times = [at for at in (wish.since, wish.until) if at is not None]
    return wish if all(at.tzinfo for at in times) else None
