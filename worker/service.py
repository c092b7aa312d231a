"""The worker's parts, put together and taken apart."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

from producer.contract.crashpoints import crashpoint
from producer.contract.errors import FleetError
from producer.contract.ids import JobId
from producer.contract.settings import Settings
from producer.dispatch import Dispatch
from producer.storage.object_store import ObjectStore
from producer.store.backlog import Backlog
from producer.store.connection import address, connect
from producer.store.job_store import JobStore
from producer.store.node_store import NodeStore
from producer.store.sweeps import Sweeps
from producer.upkeep import Upkeep
from worker import lapsed
from worker.announcer import Announcer
from worker.comfyui.client import ComfyUI
from worker.comfyui.events import EventSocket
from worker.comfyui.inputs import InputCarrier
from worker.delivery import Delivery
from worker.departure import Departure, Leaving
from worker.entry import Identity
from worker.errands import Errands
from worker.health import Health, HealthPolicy
from worker.lease import LeaseKeeper
from worker.lookahead import GATE, Slot
from worker.misplaced import Misplaced
from worker.name_lock import NameLock, own_path
from worker.neighbours import Neighbours
from worker.node import NodeAgent
from worker.patience import Patience
from worker.preference import LoadCost
from worker.render import Render
from worker.runner import Place, Runner
from worker.scout import Scout
from worker.settling import Settler
from worker.store_breaker import StoreBreaker
from worker.subscriptions import Subscriptions
from worker.templates import Templates
from worker.warmth import WARMTH
from worker.watchdog import Signs, Watchdog, since

_log = logging.getLogger(__name__)

#: Exit status when another worker has the node's name: a supervisor must not start us again.
NAME_TAKEN: Final = 79

#: How long a stopping worker waits for what it fetches and stores, s; systemd allows 60.
_GRACE_S: Final = 45.0
#: How long after that attempts may take to let go, s.
_LET_GO_S: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which node a worker serves, and how.

    Args:
        handover: when it stops, the node leaves too: what renders is handed over.
        restart_command: restarts the node's ComfyUI; run when that hangs.
    """

    name: str
    pool: str
    comfyui_url: str
    handover: bool = False
    restart_command: str | None = None


class NodeWorker:
    """One worker without its Celery side.

    Args:
        queues: returns those that the worker consumes.
        on_queue: called with each queue that the node should be served from.
        on_displaced: called when another worker has taken over the node's name.
    """

    def __init__(
        self,
        options: Options,
        settings: Settings,
        *,
        queues: Callable[[], Collection[str]],
        on_queue: Callable[[str], None],
        on_displaced: Callable[[str], None],
    ) -> None:
        self.options = options
        self._on_displaced = on_displaced
        self._boot_id = f"{options.name}:{uuid4().hex[:12]}"
        self._lease = timedelta(seconds=settings.lease_s)
        keep_ended = timedelta(seconds=settings.keep_ended_s)

        self._redis = connect(settings)
        self._fleet = address(self._redis)
        self._nodes = NodeStore(self._redis, lease=self._lease)
        self._sweeps = Sweeps(self._redis, keep_ended=keep_ended)
        self._objects = ObjectStore(settings)
        self._comfyui = ComfyUI(options.comfyui_url, node=options.name)
        self._events = EventSocket(options.comfyui_url, node=options.name)
        store = JobStore(self._redis, keep_ended=keep_ended)
        dispatch = Dispatch(settings)

        self._lock: NameLock | None = None
        self._spool = _spool_folder(settings, options.name, fleet=self._fleet)
        self._departure = Departure(
            options.name, how=Leaving.HANDOVER if options.handover else Leaving.SUCCESSOR
        )
        breaker = StoreBreaker(self._objects, on_broken=self._look_soon)
        self._leases = LeaseKeeper(
            self._nodes,
            node=options.name,
            worker=self._boot_id,
            every=timedelta(seconds=settings.renew_s),
            on_displaced=self._displaced,
        )
        backlog = Backlog(self._redis, node=options.name, pool=options.pool, lease=self._lease)
        neighbours = Neighbours(
            self._nodes, backlog, self._sweeps, name=options.name, pool=options.pool
        )
        self._agent = NodeAgent(
            Identity(
                name=options.name,
                pool=options.pool,
                url=options.comfyui_url,
                worker=self._boot_id,
                restart_command=options.restart_command,
            ),
            self._nodes,
            self._comfyui,
            neighbours=neighbours,
            health=Health(HealthPolicy(first_s=settings.node_quarantine_s)),
            breaker=breaker,
            canary_s=settings.node_canary_s,
            pace=GATE.pace,
            on_state=lambda ready: GATE.set_ready(ready=ready),
            on_catalog=lambda: self._subscriptions.look(),  # noqa: PLW0108 - made further down
        )
        patience = Patience(breaker, self._departure, on_damage=self._agent.doubt)
        self._runner = Runner(
            place=Place(
                node=options.name,
                worker=self._boot_id,
                spool=self._spool,
                lease=self._lease,
            ),
            store=store,
            warmth=WARMTH,
            templates=Templates(store, max_graph_bytes=settings.max_graph_bytes),
            comfyui=self._comfyui,
            leases=self._leases,
            patience=patience,
            carrier=InputCarrier(self._objects, self._comfyui),
            render=Render(
                self._comfyui,
                self._events,
                store,
                node=options.name,
                stall=timedelta(seconds=settings.node_progress_s),
                departure=self._departure,
                patience=patience,
                misplaced=Misplaced(GATE, neighbours, load_s=settings.node_load_s),
            ),
            delivery=Delivery(
                node=options.name,
                prefix=settings.s3_prefix,
                comfyui=self._comfyui,
                objects=self._objects,
                store=store,
                patience=patience,
            ),
            settler=Settler(
                options.name,
                store=store,
                dispatch=dispatch,
                comfyui=self._comfyui,
                patience=patience,
                standing=self._agent,
            ),
            standing=self._agent,
            neighbours=neighbours,
        )
        self._subscriptions = Subscriptions(
            options.name,
            sweeps=self._sweeps,
            serving=self._agent,
            leases=self._leases,
            warmth=WARMTH,
            on_queue=on_queue,
        )
        upkeep = Upkeep(
            store=store,
            sweeps=self._sweeps,
            dispatch=dispatch,
            who=self._boot_id,
            lease=self._lease,
            every=timedelta(seconds=settings.sweep_s),
            interrupt=lambda job: lapsed.interrupt(job, self._nodes),
            judge=lapsed.judge,
        )
        self._errands = Errands(
            self._redis, upkeep, heed=self._subscriptions.heed, every_s=settings.sweep_s
        )
        self._watchdog = Watchdog(
            Signs(
                polled=since(lambda: GATE.asked_at),
                looped=since(lambda: self._leases.looped_at),
                heard=since(lambda: self._leases.heard_at),
            )
        )
        self._scout = Scout(GATE, backlog, lambda: WARMTH.order(list(queues())))
        self._announcer = Announcer(self._nodes, node=options.name)
        self._load_cost = LoadCost(bound_s=settings.node_warm_s, load_s=settings.node_load_s)
        self._taken_back = ThreadPoolExecutor(8, thread_name_prefix="taken-back")

    def join(self) -> None:
        """Check what the worker depends on, take the node's name and what a predecessor held.

        All of it before Celery starts: a render that waits for its worker waits no longer.

        Raises:
            FleetUnreachable, StorageError: Redis or S3 is not as it should be.
            NodeNameTaken: another living worker serves under this name.
        """
        self._objects.probe()
        self._lock = NameLock(self.options.name, fleet=self._fleet)
        # What a killed predecessor spooled is worth nothing: it is fetched again.
        shutil.rmtree(self._spool, ignore_errors=True)
        self._agent.join(self._lock, patience=self._lease + timedelta(seconds=2))
        self._leases.start()
        self._take_back()

    def start(self) -> None:
        """Begin to serve."""
        WARMTH.begin(self.options.name, self._load_cost, on_load=self._announcer)
        self._announcer.start()
        self._agent.start()
        self._errands.start()
        self._scout.start()
        self._watchdog.start()
        if not self._objects.honours_conditions():
            _log.warning("this store overwrites although asked not to; each write looks first")

    def stop(self) -> None:
        """Take nothing more; leave or hand over what renders, finish what is stored."""
        self._watchdog.stop()
        self._departure.announce()
        self._agent.drain()
        self._wait_for_attempts(_GRACE_S)
        self._departure.hurry()
        self._wait_for_attempts(_LET_GO_S)

    def close(self) -> None:
        """Let go of everything; the node's name last."""
        self._announcer.stop()
        self._scout.stop()
        self._errands.stop()
        self._taken_back.shutdown(wait=False, cancel_futures=True)
        self._leases.stop()
        self._agent.leave()
        self._events.close()
        self._comfyui.close()
        self._objects.close()
        self._redis.close()
        if self._lock:
            self._lock.close()

    @property
    def is_busy(self) -> bool:
        """Whether attempts are under way."""
        return len(self._leases) > 0

    def run(self, job_id: JobId, attempt: int) -> None:
        """Run one attempt, as a message asks for."""
        slot = GATE.begin()
        try:
            self._runner.run(job_id, attempt, slot)
        finally:
            slot.release()

    def _take_back(self) -> None:
        taken = self._sweeps.take_back(self.options.name, worker=self._boot_id, lease=self._lease)
        if taken:
            crashpoint("jobs.taken_back")
            self._agent.learn()
        for job_id, _ in taken:
            self._taken_back.submit(self._resume, job_id, GATE.begin())

    def _resume(self, job_id: JobId, slot: Slot) -> None:
        try:
            self._runner.resume(job_id, slot)
        except FleetError as exc:
            _log.warning("job %s: not taken back, upkeep will see to it: %s", job_id, exc)
        finally:
            slot.release()

    def _wait_for_attempts(self, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while len(self._leases) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _displaced(self, holder: str) -> None:
        if holder:
            self._on_displaced(holder)
        else:
            _log.error("Redis has lost the record of node %s; was it emptied?", self.options.name)
            self._agent.rejoin()

    def _look_soon(self) -> None:
        self._agent.look_soon()


def _spool_folder(settings: Settings, name: str, *, fleet: str) -> Path:
    if settings.node_spool_dir:
        return settings.node_spool_dir / name
    return own_path(name, fleet=fleet, suffix=".spool")
