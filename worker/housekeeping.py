"""Housekeeping of a worker in three threads: calls of the fleet, upkeep's sweeps, results of batches."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from producer.contract.errors import FleetError
from producer.store.calls import Call, listen
from producer.upkeep.sweeper import Upkeep

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)

#: After so long without a call, `on_call(None)` has missed ones read from Redis.
_SILENCE: Final = timedelta(seconds=5)


class Housekeeping:
    """Runs the three threads until `stop`.

    Args:
        on_call: called with each call, and with None after five seconds without one.
        every_s: seconds between two sweeps.
        results_every_s: seconds between two looks for results to be written.
    """

    def __init__(
        self,
        redis: Redis,
        upkeep: Upkeep,
        *,
        on_call: Callable[[Call | None], None],
        every_s: float,
        results_every_s: float,
    ) -> None:
        self._redis = redis
        self._upkeep = upkeep
        self._on_call = on_call
        self._every_s = every_s
        self._results_every_s = results_every_s
        self._stopped = Event()

    def start(self) -> None:
        """Start the threads."""
        Thread(target=self._listen, name="calls", daemon=True).start()
        Thread(target=self._keep_up, name="upkeep", daemon=True).start()
        Thread(target=self._write_results, name="results", daemon=True).start()

    def stop(self) -> None:
        """End the threads, each after what it does now."""
        self._stopped.set()

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                for call in listen(self._redis, timeout=_SILENCE):
                    if self._stopped.is_set():
                        return
                    self._on_call(call)
            except FleetError as exc:
                _log.warning("calls are not received: %s", exc)
            except Exception:  # noqa: BLE001 - without this thread nobody could cancel
                if self._stopped.is_set():
                    return  # the connection was closed under it
                _log.exception("a call was not acted on")
            self._stopped.wait(1)

    def _keep_up(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                self._upkeep.sweep()
            except FleetError as exc:
                _log.warning("upkeep: %s", exc)
            except Exception:  # noqa: BLE001 - without upkeep the fleet would lose jobs
                _log.exception("upkeep failed; it goes on")

    def _write_results(self) -> None:
        every = timedelta(seconds=self._results_every_s)
        while not self._stopped.wait(self._results_every_s):
            try:
                self._upkeep.write_results(every=every)
            except FleetError as exc:
                _log.warning("results of batches are not written: %s", exc)
            except Exception:  # noqa: BLE001 - what is to be written is still known, and tried again
                _log.exception("results of batches are not written; it goes on")
