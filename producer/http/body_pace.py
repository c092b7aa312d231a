"""The pace of a body: judged over each ten seconds that it was waited for, so that haste at first buys no rest."""

from __future__ import annotations

from typing import Final

#: What a client must send in a second on average, bytes, and how long the average is over, s.
SLOWEST: Final = 16_384
OVER_S: Final = 10.0


class BodyPace:
    """Judges how fast a body comes."""

    def __init__(self) -> None:
        self._waited_s = 0.0
        self._bytes = 0

    def is_too_slow(self, size: int, *, waited_s: float) -> bool:
        """Note that so many bytes came after so long, and tell whether the last ten seconds brought too few.

        Args:
            waited_s: how long they were waited for, not how long what came before took to be handled.
        """
        self._bytes += size
        self._waited_s += waited_s
        if self._waited_s < OVER_S:
            return False
        is_slow = self._bytes < SLOWEST * self._waited_s
        self._waited_s, self._bytes = 0.0, 0
        return is_slow
