"""What waits, as a worker sees it: messages for it, and nodes that would have them sooner."""

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

#: So many of a pool's idle nodes are as good as all.
_ENOUGH: Final = 10


class Backlog:
    """Messages without a node, and nodes without a message.

    Args:
        redis: connected with `decode_responses=True`.
        lease: how long the word of an idle node holds.
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
        """Tell whether a message lies in any of *queues*."""
        lists = [
            keys.message_list(queue, priority)
            for queue in queues
            for priority in PRIORITIES.values()
        ]
        with translated(self._redis):
            return bool(lists and self._redis.exists(*lists))

    def say_idle(self, *, is_idle: bool) -> None:
        """Tell the fleet whether this node waits for work."""
        self._scripts.run(
            "idle", keys=[self._idle], args=[self._node, int(is_idle), self._lease_ms]
        )

    def idle_nodes(self) -> set[str]:
        """Return other nodes of the pool that wait for work, or some of them."""
        with translated(self._redis):
            names: Any = self._redis.zrange(self._idle, 0, _ENOUGH, desc=True)
        return set(names) - {self._node}
