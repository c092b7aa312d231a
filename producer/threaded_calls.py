"""Calls from asyncio that run in a thread: the twins of methods, of those that give items too."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, update_wrapper
from itertools import islice
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: Items that one call in a thread takes of an iterator.
_AT_ONCE: Final = 500


class OwnThreads:
    """Threads for the calls of one client, so that those that wait long leave the event loop's own to others.

    Args:
        most: calls at once; others wait for these.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._pools: dict[int, ThreadPoolExecutor] = {}

    async def run(self, call: Callable[[], T]) -> T:
        """Return what a call in a thread returns."""
        # A forked child has no threads, so it has a pool of its own.
        if (pool := self._pools.get(os.getpid())) is None:
            pool = self._pools.setdefault(
                os.getpid(), ThreadPoolExecutor(self._most, thread_name_prefix=self._name)
            )
        inside = copy_context()
        return await asyncio.get_running_loop().run_in_executor(pool, inside.run, call)

    def close(self) -> None:
        """End the threads, once their calls have ended; a later call begins new ones."""
        if pool := self._pools.pop(os.getpid(), None):
            pool.shutdown(wait=False)


class Twin(Protocol):
    """A class whose methods are those of another one, called in threads."""

    _sync: Any  #: The object with the methods that block.


class ThreadedTwin:
    """An object whose methods are those of another one, called in threads.

    Args:
        sync: the object with the methods that block.
        threads: where they run; None: in the event loop's.
    """

    def __init__(self, sync: Any, threads: OwnThreads | None = None) -> None:
        self._sync = sync
        self._threads = threads


def in_thread(
    method: Callable[Concatenate[Any, P], T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Return the twin of a method that blocks: a coroutine of the same arguments, result and errors.

    It runs in the object's `_threads`, where it has some, else in the event loop's.
    """

    async def twin(self: Twin, /, *given: P.args, **options: P.kwargs) -> T:
        return await _run(self, partial(getattr(self._sync, method.__name__), *given, **options))

    update_wrapper(twin, method)
    return twin


def listed_in_thread(
    method: Callable[Concatenate[Any, P], Iterator[T]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, list[T]]]:
    """Return the twin of a method that gives items: a coroutine that returns them all."""

    async def twin(self: Twin, /, *given: P.args, **options: P.kwargs) -> list[T]:
        call = partial(getattr(self._sync, method.__name__), *given, **options)
        return await _run(self, lambda: list(call()))

    update_wrapper(twin, method)
    return twin


def iterated_in_thread(
    method: Callable[Concatenate[Any, P], Iterator[T]],
) -> Callable[Concatenate[Any, P], AsyncIterator[T]]:
    """Return the twin of a method that gives items: an async generator, which reads some at a time."""

    async def twin(self: Twin, /, *given: P.args, **options: P.kwargs) -> AsyncIterator[T]:
        items: Iterator[T] = getattr(self._sync, method.__name__)(*given, **options)
        while page := await _run(self, lambda: list(islice(items, _AT_ONCE))):
            for item in page:
                yield item

    update_wrapper(twin, method)
    return twin


async def _run(twin: Twin, call: Callable[[], T]) -> T:
    threads: OwnThreads | None = getattr(twin, "_threads", None)
    return await (threads.run(call) if threads else asyncio.to_thread(call))
