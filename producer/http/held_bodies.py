"""Bodies that this process holds in memory, and the files that it spools: bounded, and shared out among owners."""

from __future__ import annotations

from collections import Counter
from typing import Final

from producer.http.problems import Problem, ProblemType

#: Bytes of all bodies at once, and of those that are written to a file as they come.
IN_MEMORY: Final = 512 << 20
ON_DISK: Final = 8 << 30
#: The part of it that one owner may have.
_OF_OWNER: Final = 4


class HeldBodies:
    """What all requests hold together.

    Args:
        most: bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_owner: Counter[str] = Counter()

    def of(self, owner: str) -> HeldBody:
        """Return what one request of an owner holds: nothing yet."""
        return HeldBody(self, owner)

    def take(self, owner: str, size: int) -> None:
        """Count more bytes of an owner's.

        Raises:
            Problem: it, or all together, would hold more than they may.
        """
        its_most = self._most // _OF_OWNER
        if self._by_owner[owner] + size > its_most:
            raise Problem(
                ProblemType.TOO_MANY_REQUESTS,
                f"bodies of this owner's requests under way have {its_most:,} bytes, as many as may be",
                advice="send fewer large bodies at once",
                headers={"Connection": "close"},
            )
        if self._by_owner.total() + size > self._most:
            raise Problem(
                ProblemType.BUSY,
                f"this process holds bodies of {self._most:,} bytes, as many as it may",
                headers={"Connection": "close"},
            )
        self._by_owner[owner] += size

    def give_back(self, owner: str, size: int) -> None:
        """Forget bytes that were counted."""
        self._by_owner[owner] -= size
        if not self._by_owner[owner]:
            del self._by_owner[owner]


class HeldBody:
    """What one request holds, until `release`."""

    def __init__(self, bodies: HeldBodies, owner: str) -> None:
        self._bodies = bodies
        self._owner = owner
        self._size = 0

    def take(self, size: int) -> None:
        """Count more bytes; errors as of `HeldBodies.take`."""
        self._bodies.take(self._owner, size)
        self._size += size

    def release(self) -> None:
        """The request is over."""
        self._bodies.give_back(self._owner, self._size)
        self._size = 0
