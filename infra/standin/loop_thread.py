"""An event loop in a thread of its own, for servers beside code that has none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Final, Self, TypeVar, cast

_TIMEOUT_S: Final = 10.0

T = TypeVar("T")


class LoopThread:
    """Runs coroutines from other threads in its loop.

    ``with LoopThread("proxy") as loop: server = loop.run(start())``; leaving the block cancels what runs there and
    closes every connection.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            self.run(_end_tasks())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns; raises what it raises, or TimeoutError after 10 s."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_TIMEOUT_S)


async def close_connections() -> None:
    """Close every connection of the running loop, of servers that do not listen any more.

    A loop that ends leaves open what was accepted in its last moment, and Python tells of it when it next collects
    garbage: in another test. Before 3.13 no server knows its connections; the loop knows all.
    """
    await asyncio.sleep(0)  # what was just accepted becomes a connection
    loop = cast("Any", asyncio.get_running_loop())
    for transport in tuple(loop._transports.values()):  # noqa: SLF001
        transport.abort()
    await asyncio.sleep(0)  # an aborted one closes its socket a turn later


async def _end_tasks() -> None:
    await asyncio.sleep(0)  # a task that is cancelled before it began leaves its socket open
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await close_connections()
