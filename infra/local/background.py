"""Background thread with the event loop of a supervisor, for synchronous code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import wait
from types import TracebackType
from typing import Any, Final, Self

from infra.local.supervisor import Service, Supervisor

#: A thread that waits looks up so often: a signal that comes just before it waits does not wake it, and Python raises
#: nothing before it is awake.
SIGNALS_EVERY_S: Final = 0.5


class BackgroundSupervisor:
    """Hold *supervisor* by a ``with`` block; leaving the block stops every service.

    A KeyboardInterrupt in the calling thread leaves a waiting call at once; the services are
    then stopped on the way out of the block.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="supervisor", daemon=True
        )
        self._serving = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._serving.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._call(self._supervisor.stop())
        finally:
            self._loop.call_soon_threadsafe(self._done.set)
            self._thread.join()

    def start(self, *services: Service) -> None:
        """Start *services* as one stage; see `Supervisor.start`."""
        self._call(self._supervisor.start(*services))

    def pid(self, name: str) -> int:
        """Return the process id of service *name*, as of its latest start."""
        return self._supervisor.pid(name)

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            while wait([future], SIGNALS_EVERY_S).not_done:
                pass
            future.result()
        except BaseException:
            future.cancel()
            raise

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._serving.set()
        await self._done.wait()
