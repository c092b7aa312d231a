"""Backlog as a worker sees it: whether messages wait in its queues, and which other nodes are idle."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from producer.contract.queues import PRIORITIES
from producer.store import keys
from producer.store.connection import translated
from producer.store.scripts import Scripts
from producer.store.times import to_ms

if TYPE_CHECKING:
    from redis import Redis

#: Idle nodes of a pool that are read; more are not needed.
_ENOUGH: Final = 10


class Backlog:
    """Waiting messages and idle nodes.

    Args:
        redis: connected with `decode_responses=True`.
        lease: how long a node counts as idle after it said so.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        node: str,
        pool: str,
        lease: timedelta,
        scripts: Scripts | None = None,
    ) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)
        self._node = node
        self._idle = keys.idle(pool)
        self._lease_ms = to_ms(lease)

    def waits_in(self, queues: Collection[str]) -> bool:
        """Tell whether a message waits in any of *queues*."""
        lists = [
            keys.message_list(queue, priority)
            for queue in queues
            for priority in PRIORITIES.values()
        ]
        with translated(self._redis):
            return bool(lists and self._redis.exists(*lists))

    def say_idle(self, *, is_idle: bool) -> None:
        """Record whether this node is idle."""
        self._scripts.run(
            "idle", keys=[self._idle], args=[self._node, int(is_idle), self._lease_ms]
        )

    def idle_nodes(self) -> set[str]:
        """Return other idle nodes of the pool; of many, only some."""
        with translated(self._redis):
            names: Any = self._redis.zrange(self._idle, 0, _ENOUGH, desc=True)
        return set(names) - {self._node}
