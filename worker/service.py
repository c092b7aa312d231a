"""Service of a worker, its life cycle: joins the fleet, serves its node, stops within the grace period."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import uuid4

from producer.contract.config.settings import Settings
from producer.contract.crashpoints import crashpoint
from producer.contract.errors import FleetError, StorageError
from producer.contract.ids import JobId
from producer.store.sweeps import TakenBack
from worker.assembly import Hooks, Options, Parts
from worker.attempt.bounded_call import has_open_calls
from worker.node.name_lock import NameLock
from worker.scheduling.gate import GATE, Slot
from worker.scheduling.loaded_models import LOADED_MODELS
from worker.scheduling.queue_ranking import LoadCost

_log = logging.getLogger(__name__)

#: Exit status when another worker has the node's name: a supervisor must not restart this one.
NAME_TAKEN: Final = 79

#: Grace: how long a stopping worker waits for attempts that fetch and store, s; systemd allows 60.
_GRACE_S: Final = 45.0
#: How long attempts may take after the grace to abort, s.
_ABORT_S: Final = 5.0


class NodeWorker:
    """The worker without Celery: joins, starts, runs attempts, stops."""

    def __init__(self, options: Options, settings: Settings, hooks: Hooks) -> None:
        self.options = options
        self._hooks = hooks
        self._boot_id = f"{options.name}:{uuid4().hex[:12]}"
        self._lease = timedelta(seconds=settings.lease_s)
        self._load_cost = LoadCost(
            bound_s=settings.node_warm_s,
            load_s=settings.node_load_s,
            of_models=partial(GATE.render_times.load_times.usual_s, else_s=settings.node_load_s),
        )
        self._lock: NameLock | None = None
        self._taken_back = ThreadPoolExecutor(8, thread_name_prefix="taken-back")
        self._parts = Parts(
            options, settings, hooks, worker=self._boot_id, on_displaced=self._on_displaced
        )

    def join(self) -> None:
        """Probe Redis and S3, claim the node's name, take back the jobs that a predecessor held.

        All of it happens before Celery starts, so that prompts of a predecessor that still render
        are watched again as early as possible.

        Raises:
            FleetUnreachable, StorageError: Redis or S3 is not as it should be.
            NodeNameTaken: another living worker serves under this name.
        """
        self._parts.objects.probe()
        self._lock = NameLock(self.options.name, fleet=self._parts.fleet)
        self._parts.spool.clear()
        self._parts.agent.join(self._lock, timeout=self._lease + timedelta(seconds=2))
        self._parts.leases.start()
        self._take_back()

    def start(self) -> None:
        """Start all threads; the watchdog last."""
        LOADED_MODELS.start(
            self.options.name, self._load_cost, on_load=self._parts.models_announcer
        )
        self._parts.models_announcer.start()
        self._parts.agent.start()
        self._parts.housekeeping.start()
        self._parts.copier.start()
        self._parts.backlog_probe.start()
        self._learn_about_storage()
        self._parts.watchdog.start()  # last: it must not count the time that this method takes

    def stop(self) -> None:
        """Take no more jobs; leave or hand over running prompts, finish what is being stored."""
        self._parts.watchdog.stop()
        self._parts.shutdown.begin()
        self._parts.agent.drain()
        self._wait_for_attempts(_GRACE_S)
        self._parts.shutdown.end_grace()
        self._wait_for_attempts(_ABORT_S)

    def close(self) -> None:
        """Stop all threads and close all connections; release the node's name last."""
        self._parts.models_announcer.stop()
        self._parts.backlog_probe.stop()
        self._parts.housekeeping.stop()
        self._parts.copier.stop()
        self._taken_back.shutdown(wait=False, cancel_futures=True)
        self._parts.leases.stop()
        self._parts.agent.leave()
        self._parts.events.close()
        self._parts.comfyui.close()
        self._parts.objects.close()
        self._parts.copier.close()
        self._parts.redis.close()
        if self._lock:
            self._lock.close()

    @property
    def is_busy(self) -> bool:
        """Whether attempts are running, or calls that ended attempts have left behind."""
        return len(self._parts.leases) > 0 or has_open_calls()

    def run(self, job_id: JobId, attempt: int) -> None:
        """Run one attempt, for a message that Celery delivered."""
        slot = GATE.take_slot()
        try:
            with self._parts.threads:
                self._parts.runner.run(job_id, attempt, slot)
        finally:
            slot.release()

    def _learn_about_storage(self) -> None:
        try:
            if not self._parts.objects.honours_conditions():
                _log.warning(
                    "this S3 storage ignores If-None-Match; each write checks for the object first"
                )
            self._parts.objects.compares_digests()  # now, not while the first job waits for it
        except StorageError as exc:  # the first write will tell
            _log.warning("not known yet whether the storage supports conditional writes: %s", exc)

    def _take_back(self) -> None:
        taken = self._parts.sweeps.take_back(
            self.options.name, worker=self._boot_id, lease=self._lease
        )
        if taken:
            crashpoint("jobs.taken_back")
            self._parts.agent.load_catalog()
        for back in taken:
            self._taken_back.submit(self._resume, back, GATE.take_slot())

    def _resume(self, back: TakenBack, slot: Slot) -> None:
        try:
            self._parts.runner.resume(back, slot)
        except FleetError as exc:
            _log.warning("job %s: not taken back, left to upkeep: %s", back.job_id, exc)
        finally:
            slot.release()

    def _wait_for_attempts(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while len(self._parts.leases) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _on_displaced(self, holder: str) -> None:
        if holder:
            self._hooks.on_taken_over(holder)
        else:
            _log.error("Redis has lost the record of node %s; was it emptied?", self.options.name)
            self._parts.agent.rejoin()
