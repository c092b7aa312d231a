"""How long renders of one shape take: counts in logarithmic buckets, by device, written at the commit.

Four buckets an octave: a duration is known to a tenth. `comfyfleet:rates:<shape>` maps the device, as the
node's record names it, to `bucket:count bucket:count ...`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from producer.store import keys, limits
from producer.store.connection import translated

if TYPE_CHECKING:
    from redis import Redis

_RATE: Final = re.compile(r"(\d{1,3}):(\d{1,9})")


class Rates:
    """Reads what `finish` has counted.

    Args:
        redis: connected with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def usual_s(self, shape: str, *, node: str) -> float | None:
        """Return how long a render of *shape* usually takes on a node, s: the median.

        Where none was seen on its device, that of all devices counts; None where none was seen at all.

        Raises:
            FleetUnreachable: Redis did not answer.
        """
        return self.usual_of(*self.read(shape, node=node))

    def read(self, shape: str, *, node: str) -> tuple[str, dict[str, str]]:
        """Return the device of a node, and all that is kept of *shape*.

        Raises:
            FleetUnreachable: Redis did not answer.
        """
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            pipe.hget(keys.node(node), "device")
            pipe.hgetall(keys.rates(shape))
            device, found = pipe.execute()
        return device or "", found

    @staticmethod
    def usual_of(device: str, found: dict[str, str]) -> float | None:
        """Return the median, s, of what `read` has returned; see `usual_s`."""
        own = median_s([found.get(device, "")])
        if own is not None:
            return own
        return median_s(found.values())


def median_s(rates: Iterable[Any]) -> float | None:
    """Return the median of what devices are said to take, s; None where nothing can be read."""
    counts: Counter[int] = Counter()
    for text in rates:
        counts.update({int(bucket): int(count) for bucket, count in _RATE.findall(text)})
    left = counts.total() / 2
    for bucket in sorted(counts):
        left -= counts[bucket]
        if left <= 0 and counts[bucket]:
            return float(2 ** ((bucket + 0.5) / limits.BUCKETS_AN_OCTAVE)) / 1000
    return None


def is_rate(text: str) -> bool:
    """Tell whether *text* is what `finish` writes of one device."""
    return bool(text) and all(map(_RATE.fullmatch, text.split(" ")))
