"""The worker's parts, put together and taken apart."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Final
from uuid import uuid4

from producer.contract.errors import FleetError, NodeError
from producer.contract.ids import JobId
from producer.contract.jobs import Job
from producer.contract.queues import Needs, node_queue
from producer.contract.settings import Settings
from producer.dispatch import Dispatch
from producer.storage.object_store import ObjectStore
from producer.store.calls import Call, listen
from producer.store.connection import address, connect
from producer.store.job_store import JobStore
from producer.store.node_store import NodeStore
from producer.store.sweeps import Sweeps
from producer.upkeep import Upkeep
from worker.comfyui.client import ComfyUI
from worker.comfyui.events import EventSocket
from worker.lease import LeaseKeeper
from worker.name_lock import NameLock, own_path
from worker.node import NodeAgent
from worker.queue_order import GATE, Slot
from worker.render import Render
from worker.runner import Place, Runner

_log = logging.getLogger(__name__)

#: Exit status when another worker has the node's name: a supervisor must not start us again.
NAME_TAKEN: Final = 79

#: How long a stopping worker waits for what it fetches and stores, s.
_GRACE_S: Final = 45.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which node a worker serves."""

    name: str
    pool: str
    comfyui_url: str


class NodeWorker:
    """One worker without its Celery side.

    Args:
        on_queue: called with each queue that the node should be served from.
        on_displaced: called when another worker has taken over the node's name.
    """

    def __init__(
        self,
        options: Options,
        settings: Settings,
        *,
        on_queue: Callable[[str], None],
        on_displaced: Callable[[str], None],
    ) -> None:
        self.options = options
        self.settings = settings
        self.boot_id = f"{options.name}:{uuid4().hex[:12]}"
        self._on_queue = on_queue
        self._lease = timedelta(seconds=settings.lease_s)
        keep_ended = timedelta(seconds=settings.keep_ended_s)
        self._redis = connect(settings)
        self._fleet = address(self._redis)
        self._spool = (settings.node_spool_dir or Path()) / options.name
        if settings.node_spool_dir is None:
            self._spool = own_path(options.name, fleet=self._fleet, suffix=".spool")
        self._store = JobStore(self._redis, keep_ended=keep_ended)
        self._nodes = NodeStore(self._redis, lease=self._lease)
        self._sweeps = Sweeps(self._redis, keep_ended=keep_ended)
        self._objects = ObjectStore(settings)
        self._comfyui = ComfyUI(options.comfyui_url, node=options.name)
        self._events = EventSocket(options.comfyui_url, node=options.name)
        self._leases = LeaseKeeper(
            self._nodes,
            node=options.name,
            worker=self.boot_id,
            every=timedelta(seconds=settings.renew_s),
            on_displaced=on_displaced,
        )
        self._render = Render(
            self._comfyui,
            self._events,
            self._store,
            node=options.name,
            stall=timedelta(seconds=settings.node_progress_s),
        )
        dispatch = Dispatch(settings)
        self.runner = Runner(
            Place(
                node=options.name,
                worker=self.boot_id,
                spool=self._spool,
                prefix=settings.s3_prefix,
                lease=self._lease,
                max_graph_bytes=settings.max_graph_bytes,
            ),
            store=self._store,
            objects=self._objects,
            dispatch=dispatch,
            comfyui=self._comfyui,
            render=self._render,
            leases=self._leases,
        )
        self._agent = NodeAgent(
            self._nodes,
            self._comfyui,
            name=options.name,
            pool=options.pool,
            url=options.comfyui_url,
            worker=self.boot_id,
            on_state=lambda ready: GATE.set_ready(ready=ready),
            on_catalog=self._look_at_queues,
        )
        self._upkeep = Upkeep(
            store=self._store,
            sweeps=self._sweeps,
            dispatch=dispatch,
            who=self.boot_id,
            lease=self._lease,
            every=timedelta(seconds=settings.sweep_s),
            interrupt=self._interrupt,
        )
        self._stopped = Event()
        self._lock: NameLock | None = None
        self._taken_back = ThreadPoolExecutor(8, thread_name_prefix="taken-back")

    def join(self) -> None:
        """Check what the worker depends on, and take the node's name.

        Raises:
            FleetUnreachable, StorageError: Redis or S3 is not as it should be.
            NodeNameTaken: another living worker serves under this name.
        """
        self._objects.probe()
        if not self._objects.honours_conditions():
            _log.warning("this store overwrites although asked not to; each write looks first")
        self._lock = NameLock(self.options.name, fleet=self._fleet)
        # What a killed predecessor spooled is worth nothing: it is fetched again.
        shutil.rmtree(self._spool, ignore_errors=True)
        self._agent.join(self._lock, patience=self._lease + timedelta(seconds=2))

    def start(self) -> None:
        """Take back what a predecessor held, then begin to serve."""
        self._leases.start()
        for job_id, attempt in self._sweeps.take_back(
            self.options.name, worker=self.boot_id, lease=self._lease
        ):
            _log.info("job %s attempt %d: taken back", job_id, attempt)
            self._taken_back.submit(self._resume, job_id, GATE.begin())
        self._agent.start()
        Thread(target=self._listen, name="calls", daemon=True).start()
        Thread(target=self._keep_up, name="upkeep", daemon=True).start()

    def stop(self) -> None:
        """Take nothing more; leave a running prompt to the successor, finish what is stored."""
        self._stopped.set()
        self._agent.stop()
        self._render.stopping = True

    def close(self) -> None:
        """Wait for what is under way, then let go of everything."""
        deadline = time.monotonic() + _GRACE_S
        while len(self._leases) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._taken_back.shutdown(wait=False, cancel_futures=True)
        self._leases.stop()
        self._events.close()
        self._comfyui.close()
        self._objects.close()
        self._redis.close()
        if self._lock:
            self._lock.close()

    def run(self, job_id: JobId, attempt: int) -> None:
        """Run one attempt, as a message asks for."""
        slot = GATE.begin()
        try:
            self.runner.run(job_id, attempt, slot)
        finally:
            slot.release()

    def _resume(self, job_id: JobId, slot: Slot) -> None:
        try:
            self.runner.resume(job_id, slot)
        finally:
            slot.release()

    def _listen(self) -> None:
        """Hear of new queues and of cancelled jobs; after a silence, look for oneself."""
        while not self._stopped.is_set():
            try:
                for call in listen(self._redis, patience=timedelta(seconds=5)):
                    self._heed(call)
                    if self._stopped.is_set():
                        return
            except FleetError as exc:
                _log.warning("calls are not heard: %s", exc)
                self._stopped.wait(1)

    def _heed(self, call: Call | None) -> None:
        if call is None or call.what == "queue":
            self._look_at_queues()
        elif call.what == "cancel":
            self._leases.cancel(JobId(call.about))

    def _look_at_queues(self) -> None:
        self.runner.catalog = self._agent.catalog
        self._on_queue(node_queue(self.options.name))
        for queue, needs in self._sweeps.queues().items():
            if self._agent.serves(queue, Needs.from_json(needs)):
                self._on_queue(queue)

    def _keep_up(self) -> None:
        while not self._stopped.wait(self.settings.sweep_s):
            try:
                self._upkeep.sweep()
            except FleetError as exc:
                _log.warning("upkeep: %s", exc)
            except Exception:  # noqa: BLE001 - without upkeep the fleet would lose jobs
                _log.exception("upkeep failed; it goes on")

    def _interrupt(self, job: Job) -> None:
        """Stop a lapsed attempt's prompt on its node, if that still answers."""
        node = next((node for node in self._nodes.nodes() if node.name == job.node), None)
        if node is None or job.prompt_id is None:
            return
        try:
            with ComfyUI(node.url, node=node.name) as comfyui:
                comfyui.cancel(job.prompt_id)
        except NodeError as exc:
            _log.info("job %s: its old prompt was not interrupted: %s", job.id, exc)
