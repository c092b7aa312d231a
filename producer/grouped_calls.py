"""Calls from asyncio of one kind, made together in one thread while others of their kind are under way.

A thread a call costs more than most calls: it and the event loop take Python's lock from each other at each round trip
to Redis. So one goes at once, and what comes meanwhile goes together, in one round trip.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from threading import Lock
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

Argument = TypeVar("Argument")
Answer = TypeVar("Answer")

#: Calls that are made together at most.
_MOST: Final = 64
#: How long those under way may take before others no longer wait for them, s, and how many threads there are at most.
_PATIENCE_S: Final = 0.25
_THREADS: Final = 8


class GroupedCalls(Generic[Argument, Answer]):
    """Makes calls in groups. It may be used from several event loops.

    Args:
        call: takes arguments, and returns of each its answer, or the error that it raises.
    """

    def __init__(self, call: Callable[[Sequence[Argument]], Sequence[Answer | Exception]]) -> None:
        self._call = call
        self._lock = Lock()
        self.threads: Executor | None = None  #: Where they run; None: the event loop's own threads.
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Waiting[Argument, Answer]] = (
            WeakKeyDictionary()
        )

    async def __call__(self, argument: Argument) -> Answer:
        """Make one call, perhaps with others; its error is raised here."""
        loop = asyncio.get_running_loop()
        waiting = self._by_loop.get(loop) or self._waiting_on(loop)
        return await waiting.answer(argument)

    def _waiting_on(self, loop: asyncio.AbstractEventLoop) -> _Waiting[Argument, Answer]:
        with self._lock:
            return self._by_loop.setdefault(loop, _Waiting(self._call, self.threads))


class _Waiting(Generic[Argument, Answer]):
    """The calls of one event loop."""

    def __init__(
        self,
        call: Callable[[Sequence[Argument]], Sequence[Answer | Exception]],
        threads: Executor | None,
    ) -> None:
        self._call = call
        self._threads = threads
        self._waiting: deque[tuple[Argument, asyncio.Future[Answer]]] = deque()
        self._under_way: set[asyncio.Task[Any] | None] = set()
        self._began = 0.0  #: The last group, s of the loop's clock.

    async def answer(self, argument: Argument) -> Answer:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((argument, future))
        busy = len(self._under_way)
        if not busy or (busy < _THREADS and loop.time() - self._began > _PATIENCE_S):
            task = loop.create_task(self._go_on())
            self._under_way.add(task)
        return await future

    async def _go_on(self) -> None:
        try:
            while self._waiting:
                await self._next_group()
        finally:
            # At once, and not by a callback: a call that came in between would wait for nobody.
            self._under_way.discard(asyncio.current_task())

    async def _next_group(self) -> None:
        group = [self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))]
        group = [(argument, future) for argument, future in group if not future.done()]
        if not group:
            return
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        arguments = [argument for argument, _ in group]
        answers = await loop.run_in_executor(self._threads, self._answers, arguments)
        for (_, future), answer in zip(group, answers, strict=True):
            _settle(future, answer)

    def _answers(self, arguments: Sequence[Argument]) -> Sequence[Answer | Exception]:
        try:
            return self._call(arguments)
        except Exception as exc:  # noqa: BLE001 - each of those who wait is told
            return [exc] * len(arguments)


def _settle(future: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if future.done():  # whoever asked has gone
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
