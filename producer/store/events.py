"""The event stream: every change of every job, in order."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from producer.contract.jobs import JobEvent
from producer.store import keys
from producer.store.connection import translated
from producer.store.records import event_of, to_ms

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

_AT_ONCE: Final = 500


class AsyncEventStream:
    """The same for asyncio.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: AsyncRedis) -> None:
        self._redis = redis

    async def end(self) -> str:
        """Return the id after which only what happens from now on is read."""
        with translated(self._redis):
            return _end(await self._redis.xrevrange(keys.EVENTS, count=1))

    async def read(self, after: str, *, wait: timedelta) -> list[JobEvent]:
        """Return what came after the entry *after*; wait for it up to *wait*."""
        with translated(self._redis):
            return _events(await self._redis.xread({keys.EVENTS: after}, **_patience(wait)))


class EventStream:
    """Reads the stream from any point that it still holds.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def end(self) -> str:
        """Return the id after which only what happens from now on is read."""
        with translated(self._redis):
            return _end(self._redis.xrevrange(keys.EVENTS, count=1))

    def read(self, after: str, *, wait: timedelta) -> list[JobEvent]:
        """Return what came after the entry *after*; wait for it up to *wait*."""
        with translated(self._redis):
            return _events(self._redis.xread({keys.EVENTS: after}, **_patience(wait)))


def _patience(wait: timedelta) -> dict[str, int]:
    return {"count": _AT_ONCE, "block": max(1, to_ms(wait))}  # 0 would be for ever


def _end(newest: Any) -> str:
    return str(newest[0][0]) if newest else "0-0"


def _events(reply: Any) -> list[JobEvent]:
    if not reply:
        return []
    # RESP3 answers with a dict of lists of entries, RESP2 with a list of pairs.
    entries = reply[keys.EVENTS][0] if isinstance(reply, dict) else reply[0][1]
    return [event_of(entry_id, entry) for entry_id, entry in entries]
