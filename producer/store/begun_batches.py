"""What open batches were begun with, kept so that any process can add rows to them."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from producer.contract.ids import BatchId
from producer.store import keys
from producer.store.connection import translated
from producer.store.records import packed
from producer.store.scripts import Scripts

if TYPE_CHECKING:
    from redis import Redis


class BegunBatches:
    """Keeps one JSON document for each open batch, with its secrets: until it is sealed or discarded.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)

    def keep(self, batch: BatchId, request: bytes) -> None:
        """Keep what a batch was begun with; nothing if it is sealed, or gone."""
        self._scripts.run(
            "batch_keep",
            keys=[keys.batch(batch), keys.batch_request(batch)],
            args=[packed(request)],
        )

    def find(self, batch: BatchId) -> bytes | None:
        """Return what a batch was begun with; None if it is not kept."""
        with translated(self._redis):
            found: Any = self._redis.execute_command(  # type: ignore[no-untyped-call]
                "GET", keys.batch_request(batch), NEVER_DECODE=True
            )
        return None if found is None else zlib.decompress(found)
