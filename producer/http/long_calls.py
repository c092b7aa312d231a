"""Calls that keep a thread for seconds, by how much they look at: few at once, and shared out among owners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from fastapi import Depends, Request

from producer.http.problems import Problem, ProblemType

_AGAIN: Final = timedelta(seconds=2)


@dataclass
class _Owner:
    turns: asyncio.Semaphore
    calls: int = 0  #: That run or wait.


class LongCalls:
    """The calls of this process that count, list, move or check much.

    They mostly compute, so more of them at once are done no sooner, and each takes its part of the process from the short
    calls of others. So few run, of one owner fewer still, and the others wait for their turn, which costs no thread.

    Args:
        at_once: that run, of all owners.
        of_owner: of these for one.
        waiting: of an owner.
        within_s: how long one waits before it is told to come again.
        what: they do, for people.
    """

    def __init__(
        self,
        *,
        at_once: int = 8,
        of_owner: int = 2,
        waiting: int = 64,
        within_s: float = 10.0,
        what: str = "count, list, move or check much",
    ) -> None:
        self._what = what
        self._turns = asyncio.Semaphore(at_once)
        self._of_owner = of_owner
        self._waiting = waiting
        self._within_s = within_s
        self._owners: dict[str, _Owner] = {}

    @asynccontextmanager
    async def turn(self, owner: str, *, has_begun: bool = False) -> AsyncIterator[None]:
        """Run the block when it is its turn; raises Problem if too many wait, or it has waited for too long.

        Args:
            has_begun: whether the answer is on its way, so that it is too late for a problem: then it waits.
        """
        own = self._owners.setdefault(owner, _Owner(asyncio.Semaphore(self._of_owner)))
        if own.calls >= self._of_owner + self._waiting and not has_begun:
            raise _refused(
                f"{own.calls} requests of this owner that {self._what} are under way in this process, as many as "
                "may be"
            )
        own.calls += 1
        within_s = None if has_begun else self._within_s
        try:
            await self._wait(own.turns, within_s)
            try:
                await self._wait(self._turns, within_s)
                try:
                    yield
                finally:
                    self._turns.release()
            finally:
                own.turns.release()
        finally:
            own.calls -= 1
            if not own.calls:
                del self._owners[owner]

    async def _wait(self, turns: asyncio.Semaphore, within_s: float | None) -> None:
        if not turns.locked():
            await turns.acquire()  # it does not wait, so it needs no clock
            return
        try:
            async with asyncio.timeout(within_s):
                await turns.acquire()
        except TimeoutError:
            raise _refused(
                f"other requests that {self._what} have taken more than {self._within_s:g} s"
            ) from None


def _refused(detail: str) -> Problem:
    return Problem(ProblemType.TOO_MANY_REQUESTS, detail, after=_AGAIN)


def its_turn(request: Request) -> AbstractAsyncContextManager[None]:
    """Return `LongCalls.turn` of who asks; for a block within a route, which costs less than a dependency."""
    calls: LongCalls = request.app.state.long_calls
    return calls.turn(request.state.key.owner)


async def _turn(request: Request) -> AsyncIterator[None]:
    async with its_turn(request):
        yield


#: A dependency of routes whose calls may take long. It ends with the call, not with the client that reads the answer.
LONG: Final[Any] = Depends(_turn, scope="function")
