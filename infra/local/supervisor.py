"""Supervisor of services: starts them in order, each ready before the next; restarts them; stops them in reverse.

Each runs under a guard (:mod:`infra.local.orphan_guard`), so none outlives its supervisor, and everything is
ended by process id. Synchronous code holds a supervisor through :mod:`infra.local.background`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from infra.local import logs
from infra.local.guarded_process import GuardedProcess
from producer.contract.errors import FleetError

_log = logging.getLogger(__name__)

_RESTART_WINDOW_S: Final = 60.0
_BACK_OFF_S: Final = 0.25
_LONGEST_BACK_OFF_S: Final = 10.0

_PROBE_EVERY_S: Final = 0.05
_LOG_LINES_IN_ERRORS: Final = 8
#: Who waits at a terminal for longer than this is told for what.
_TOLD_AFTER_S: Final = 10.0


class NotReady(Exception):
    """What a probe raises while its service does not serve yet; says what is missing."""


class ServiceFailed(FleetError):
    """A service did not start, or ended too often. The message holds the end of its log."""

    def __init__(self, name: str, reason: str, log: Path) -> None:
        last_lines = "".join(f"\n  {line}" for line in logs.tail(log, _LOG_LINES_IN_ERRORS))
        super().__init__(f"{name}: {reason}. The end of {log}:{last_lines}")
        self.name = name
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Service:
    """What to run and how to tell that it serves."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]  #: Complete: nothing of our own environment is added.
    directory: Path
    probe: Callable[[], None] | None = None  #: Called in a thread; raises `NotReady`.
    ready_within: timedelta = timedelta(seconds=90)  #: On a busy machine it takes so long.
    stop_within: timedelta = timedelta(seconds=15)  #: From TERM to KILL.
    max_restarts: int = 5  #: In a minute; a service that ends once more is given up.


class Supervisor:
    """Services in stages; those of a stage start and stop together.

    Args:
        logs_dir: where each service's output goes, as ``NAME.log``.
        echo: called with service name and line for each line that a service writes.
        on_failure: called once a running service is given up.
        inherited_fds: descriptors that every service holds open, such as a lock on its data.
    """

    def __init__(
        self,
        logs_dir: Path,
        *,
        echo: Callable[[str, str], None] | None = None,
        on_failure: Callable[[ServiceFailed], None] = lambda _: None,
        inherited_fds: Sequence[int] = (),
    ) -> None:
        self._logs_dir = logs_dir
        self._echo = echo
        self._on_failure = on_failure
        self._inherited_fds = tuple(inherited_fds)
        self._stages: list[list[_Keeper]] = []

    async def start(self, *services: Service) -> None:
        """Start *services* as one stage and return when all of them are ready.

        Raises:
            ServiceFailed: one ended or was not ready in time. The others stay until `stop`.
        """
        stage = [self._keeper_of(service) for service in services]
        if stage:
            self._stages.append(stage)
        await asyncio.gather(*(keeper.start() for keeper in stage))

    async def stop(self) -> None:
        """Stop every stage, the last one first."""
        while self._stages:
            _log.info("stopping %s", ", ".join(keeper.name for keeper in self._stages[-1]))
            await asyncio.gather(*(keeper.stop() for keeper in self._stages[-1]))
            self._stages.pop()

    def pid(self, name: str) -> int:
        """Return the process id of service *name*, as of its latest start."""
        return next(k.pid for stage in self._stages for k in stage if k.name == name)

    def _keeper_of(self, service: Service) -> _Keeper:
        log = self._logs_dir / f"{service.name}.log"
        return _Keeper(service, log, self._echo, self._on_failure, self._inherited_fds)


class _Keeper:
    """Keeps one service running; its one task alone starts and ends the process."""

    def __init__(
        self,
        service: Service,
        log: Path,
        echo: Callable[[str, str], None] | None,
        on_failure: Callable[[ServiceFailed], None],
        inherited_fds: tuple[int, ...],
    ) -> None:
        self.name = service.name
        self.pid = 0
        self._service = service
        self._log_file = log
        self._echo = echo
        self._on_failure = on_failure
        self._inherited_fds = inherited_fds
        self._tasks: list[asyncio.Task[None]] = []
        self._settled = asyncio.Event()  #: Ready for the first time, or failed before.
        self._failure: ServiceFailed | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._starts: list[float] = []

    async def start(self) -> None:
        logs.begin(self._log_file)
        self._tasks.append(asyncio.create_task(self._keep()))
        if self._echo is not None:
            self._tasks.append(asyncio.create_task(self._follow_log(self._echo)))
        await self._settled.wait()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def _keep(self) -> None:
        try:
            while not self._stopping.is_set():
                reason = await self._run_once()
                if self._stopping.is_set():
                    return
                if not self._settled.is_set() or self._ends_too_often():
                    self._give_up(reason)
                    return
                await self._back_off(reason)
        except Exception as exc:  # noqa: BLE001 - a probe of the caller's may raise anything
            self._give_up(f"it cannot be watched: {exc!r}")
        finally:
            self._settled.set()
            self._ended.set()

    async def _run_once(self) -> str:
        """Run the service until it ends or is to stop; return why it ended."""
        process = GuardedProcess(
            self._service.argv,
            environment=self._service.environment,
            directory=self._service.directory,
            log=self._log_file,
            grace=self._service.stop_within,
            inherited_fds=self._inherited_fds,
        )
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            self.pid = await process.pid()
            self._starts.append(time.monotonic())
            reason = await self._wait_until_ready(ended, stopping)
            if reason is None:
                self._settled.set()
                _log.info("%s is ready (pid %d)", self.name, self.pid)
                await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return f"it ended with exit code {ended.result()}"
            return reason or "it was stopped"
        finally:
            stopping.cancel()
            await process.stop()

    async def _wait_until_ready(
        self, ended: asyncio.Task[int], stopping: asyncio.Task[bool]
    ) -> str | None:
        """Return None once the probe succeeds, otherwise what went wrong."""
        deadline = time.monotonic() + self._service.ready_within.total_seconds()
        told_at = time.monotonic() + _TOLD_AFTER_S
        while True:
            problem = await asyncio.to_thread(self._probe)
            if problem is None and not ended.done():
                return None
            await asyncio.wait(
                {ended, stopping}, timeout=_PROBE_EVERY_S, return_when=asyncio.FIRST_COMPLETED
            )
            if ended.done() or stopping.done():
                return "it was not ready yet"
            if time.monotonic() > deadline:
                seconds = self._service.ready_within.total_seconds()
                return f"it was not ready within {seconds:g} s: {problem}"
            if time.monotonic() > told_at:
                _log.info("%s is not ready yet: %s", self.name, problem)
                told_at = time.monotonic() + _TOLD_AFTER_S

    def _probe(self) -> str | None:
        if self._service.probe is None:
            return None
        try:
            self._service.probe()
        except NotReady as exc:
            return str(exc)
        return None

    def _ends_too_often(self) -> bool:
        since = time.monotonic() - _RESTART_WINDOW_S
        self._starts = [start for start in self._starts if start >= since]
        return len(self._starts) > self._service.max_restarts

    def _give_up(self, reason: str) -> None:
        failure = ServiceFailed(self.name, reason, self._log_file)
        _log.error("%s is given up: %s", self.name, reason)
        if self._settled.is_set():
            self._on_failure(failure)
        else:
            self._failure = failure

    async def _back_off(self, reason: str) -> None:
        seconds = min(_LONGEST_BACK_OFF_S, _BACK_OFF_S * 2 ** (len(self._starts) - 1))
        _log.warning("%s: %s; starting it again in %.2g s", self.name, reason, seconds)
        await logs.wait(self._stopping, seconds)

    async def _follow_log(self, echo: Callable[[str, str], None]) -> None:
        await logs.follow(self._log_file, lambda line: echo(self.name, line), self._ended)
