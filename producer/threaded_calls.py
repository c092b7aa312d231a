"""Calls from asyncio that run in a thread: a method's twin, and an iterator's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial, update_wrapper
from itertools import islice
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: Items that one call in a thread takes of an iterator.
_AT_ONCE: Final = 500


class Twin(Protocol):
    """A class whose methods are those of another one, called in threads."""

    _sync: Any  #: The object with the methods that block.


def in_thread(
    method: Callable[Concatenate[Any, P], T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Return the twin of a method that blocks: a coroutine of the same arguments, result and errors."""

    async def twin(self: Twin, /, *given: P.args, **options: P.kwargs) -> T:
        call = getattr(self._sync, method.__name__)
        return await asyncio.to_thread(partial(call, *given, **options))

    update_wrapper(twin, method)
    return twin


async def from_thread(items: Iterator[T]) -> AsyncIterator[T]:
    """Yield *items*, read in a thread some at a time."""
    while page := await asyncio.to_thread(lambda: list(islice(items, _AT_ONCE))):
        for item in page:
            yield item
