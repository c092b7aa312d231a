"""A few newest samples of a duration by key, what was told of it, and what of that is news. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Final

#: Newest samples of a key that count. The lower middle one does: the first may have waited for a disk.
_SAMPLES: Final = 5
#: What differs from what was told by less than this part, or is less, s, is no news.
_SAME, _TRIFLE_S = 0.25, 0.01


class Samples:
    """Durations, s, by key; called from any thread, a torn sample harms nobody.

    Args:
        most: keys that are remembered, the newest.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._own: OrderedDict[str, deque[float]] = OrderedDict()
        self._told: OrderedDict[str, float] = OrderedDict()

    def add(self, key: str, seconds: float) -> None:
        """Add how long it took here."""
        self._own.setdefault(key, deque(maxlen=_SAMPLES)).append(seconds)
        self._own.move_to_end(key)
        if len(self._own) > self._most:
            self._own.popitem(last=False)

    def tell(self, seconds: Mapping[str, float]) -> None:
        """Take in what others have seen on such a device: it counts until something is seen here."""
        self._told.update(seconds)
        while len(self._told) > self._most:
            self._told.popitem(last=False)

    def usual_s(self, key: str) -> float | None:
        """Return how long it usually takes; None if nobody knows."""
        if own := self._own.get(key):
            return sorted(own)[(len(own) - 1) // 2]
        return self._told.get(key)

    def known(self) -> dict[str, float]:
        """Return what is usual of every key."""
        keys = dict.fromkeys((*self._told, *self._own))
        return {key: usual_s for key in keys if (usual_s := self.usual_s(key)) is not None}

    def take_news(self) -> dict[str, float]:
        """Return what others should be told; it counts as told from now on."""
        news = {}
        for key in list(self._own):
            usual_s, told_s = self.usual_s(key) or 0.0, self._told.get(key)
            changed_s = usual_s if told_s is None else abs(usual_s - told_s)
            if changed_s > max(_TRIFLE_S, _SAME * (told_s or 0.0)):
                news[key] = usual_s
        self.tell(news)
        return news
