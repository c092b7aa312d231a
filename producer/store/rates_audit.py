"""What `comfyfleet check` asks of rates: can they be read, do they end, does `shapes` list them?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from producer.store import keys, limits
from producer.store.connection import replies_of, translated
from producer.store.node_seconds import is_node_seconds
from producer.store.rates import is_rate
from producer.store.record_reader import in_pages
from producer.store.times import now_ms

if TYPE_CHECKING:
    from redis import Redis

_AT_ONCE: Final = 200


class RatesAudit:
    """Looks at every shape that has rates, a page at a time.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def faults(self, *, mend: bool) -> Iterator[tuple[str, str]]:
        """Yield shape and fault: `torn` is deleted, `unlisted` gets what it lacks, if *mend*."""
        with translated(self._redis):
            found = self._redis.scan_iter(f"{keys.RATES}*", count=1000)
            for page in in_pages((key.removeprefix(keys.RATES) for key in found), _AT_ONCE):
                yield from self._page(page, mend=mend)

    def _page(self, shapes: list[str], *, mend: bool) -> Iterator[tuple[str, str]]:
        with self._redis.pipeline(transaction=True) as pipe:  # so that nothing changes in between
            for shape in shapes:
                pipe.type(keys.rates(shape))
                pipe.hgetall(keys.rates(shape))
                pipe.pttl(keys.rates(shape))
                pipe.zscore(keys.SHAPES, shape)
                pipe.hgetall(keys.shape_seconds(shape))
            answers = iter(replies_of(pipe))
        for shape, *answer in zip(shapes, *[answers] * 5, strict=True):
            fault = _fault(*answer)
            if fault and mend:
                self._mend(shape, fault)
            if fault:
                yield shape, fault

    def _mend(self, shape: str, fault: str) -> None:
        if fault == "torn":
            self._redis.delete(keys.rates(shape), keys.shape_seconds(shape))
            return
        self._redis.pexpire(keys.rates(shape), limits.RATES_MS)
        self._redis.zadd(keys.SHAPES, {shape: now_ms(self._redis)}, nx=True)
        self._redis.pexpire(keys.SHAPES, limits.INDEX_MS)


def _fault(kind: str, rates: Any, life_ms: int, listed: float | None, seconds: Any) -> str | None:
    if kind == "none":
        return None
    if kind != "hash" or not all(map(is_rate, rates.values())):
        return "torn"
    if not isinstance(seconds, dict) or not all(map(is_node_seconds, seconds.values())):
        return "torn"
    return "unlisted" if listed is None or life_ms < 0 else None
