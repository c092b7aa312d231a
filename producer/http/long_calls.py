"""Calls that keep a thread for seconds, by how much they look at: bounded in a process, and shared out among owners."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from fastapi import Depends, Request

from producer.http.problems import Problem, ProblemType

_AGAIN: Final = timedelta(seconds=2)


class LongCalls:
    """The calls of this process that count, move or check much, while they run.

    Half of the threads at most are theirs, so that short calls always find one, and an owner has a part of that half:
    filters that look at a million jobs, sent many at once, keep nobody else from it. Only for the event loop's thread.

    Args:
        at_once: of all owners.
        of_owner: of one.
    """

    def __init__(self, *, at_once: int = 32, of_owner: int = 8) -> None:
        self._at_once = at_once
        self._of_owner = of_owner
        self._busy: Counter[str] = Counter()

    @contextmanager
    def turn(self, owner: str) -> Iterator[None]:
        """Count a call while the block lasts; raises Problem if there is no room for it."""
        if self._busy[owner] >= self._of_owner:
            raise Problem(
                ProblemType.TOO_MANY_REQUESTS,
                f"this owner has {self._of_owner} requests under way that count, move or check much, as many as it may "
                "have in one process",
                after=_AGAIN,
            )
        if self._busy.total() >= self._at_once:
            raise Problem(
                ProblemType.BUSY,
                f"this process does {self._at_once} requests that count, move or check much, as many as it may",
                after=_AGAIN,
            )
        self._busy[owner] += 1
        try:
            yield
        finally:
            self._busy[owner] -= 1
            self._busy += Counter()  # without those that have none


async def _turn(request: Request) -> AsyncIterator[None]:
    calls: LongCalls = request.app.state.long_calls
    with calls.turn(request.state.key.owner):
        yield


#: A dependency of routes whose calls may take long. It ends with the call, not with the client that reads the answer.
LONG: Final[Any] = Depends(_turn, scope="function")
