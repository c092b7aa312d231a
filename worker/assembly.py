"""The worker's parts, put together; `worker.service` has them begin and end."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from producer.contract.node_address import NodeAddress
from producer.contract.node_credentials import credentials_of
from producer.contract.settings import Settings
from producer.dispatch import Dispatch
from producer.storage.object_store import ObjectStore
from producer.store.backlog import Backlog
from producer.store.connection import address, connect
from producer.store.job_store import JobStore
from producer.store.node_store import NodeStore
from producer.store.rerouting import Rerouting
from producer.store.sweeps import Sweeps
from producer.upkeep import Upkeep
from worker import lapsed
from worker.announcer import Announcer
from worker.comfyui.client import ComfyUI
from worker.comfyui.events import EventSocket
from worker.comfyui.inputs import InputCarrier
from worker.delivery import Delivery
from worker.departure import Departure, Leaving
from worker.detour import Detour
from worker.elsewhere import Elsewhere
from worker.entry import Identity
from worker.errands import Errands
from worker.extra_data import ExtraDataSource
from worker.health import Health, HealthPolicy
from worker.lease import LeaseKeeper
from worker.lookahead import GATE
from worker.misplaced import Misplaced
from worker.name_lock import own_path
from worker.neighbours import Neighbours
from worker.node import NodeAgent
from worker.patience import Patience
from worker.render import Render
from worker.runner import Place, Runner
from worker.scout import Scout
from worker.settling import Settler
from worker.spool import Spool
from worker.store_breaker import StoreBreaker
from worker.subscriptions import Subscriptions
from worker.templates import Templates
from worker.warmth import WARMTH
from worker.watchdog import Signs, Threads, Watchdog, since


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which node a worker serves, and how.

    Args:
        comfyui_url: its ComfyUI's address, which may hold a password.
        handover: when it stops, the node leaves too: what renders is handed over.
        restart_command: restarts the node's ComfyUI; run when that hangs.
    """

    name: str
    pool: str
    comfyui_url: str = field(repr=False)
    handover: bool = False
    restart_command: str | None = None


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the worker asks and tells its Celery side.

    Args:
        threads: how many jobs it runs at once.
        queues: returns those that the worker consumes.
        on_queue: called with each queue that the node should be served from.
        on_queue_retired: called with each queue that nobody uses any more.
        on_taken_over: called when another worker has the node's name, with that one.
    """

    threads: int
    queues: Callable[[], Collection[str]]
    on_queue: Callable[[str], None]
    on_queue_retired: Callable[[str], None]
    on_taken_over: Callable[[str], None]


class Parts:
    """All parts of one worker; none has begun.

    Args:
        worker: tells this process from others that have served the node.
        on_displaced: called when the node's record names another worker, or none.
    """

    def __init__(
        self,
        options: Options,
        settings: Settings,
        hooks: Hooks,
        *,
        worker: str,
        on_displaced: Callable[[str], None],
    ) -> None:
        self._options = options
        self._settings = settings
        self._worker = worker
        self._lease = timedelta(seconds=settings.lease_s)
        keep_ended = timedelta(seconds=settings.keep_ended_s)

        self.redis = connect(settings)
        self.fleet = address(self.redis)
        self.nodes = NodeStore(self.redis, lease=self._lease)
        self.sweeps = Sweeps(self.redis, keep_ended=keep_ended)
        self.objects = ObjectStore(settings)
        self._address = NodeAddress.parse(options.comfyui_url, credentials_of(settings))
        self.comfyui = ComfyUI(self._address, node=options.name, info_s=settings.node_info_s)
        self.events = EventSocket(self._address, node=options.name)
        self._store = JobStore(self.redis, keep_ended=keep_ended)
        self._dispatch = Dispatch(settings)
        backlog = Backlog(self.redis, node=options.name, pool=options.pool, lease=self._lease)
        self._neighbours = Neighbours(
            self.nodes, backlog, self.sweeps, name=options.name, pool=options.pool
        )

        self.spool = Spool(
            _spool_folder(settings, options.name, fleet=self.fleet), node=options.name
        )
        self.departure = Departure(
            options.name, how=Leaving.HANDOVER if options.handover else Leaving.SUCCESSOR
        )
        self._breaker = StoreBreaker(
            self.objects,
            on_broken=lambda: self.agent.look_soon(),  # noqa: PLW0108 - made after it
        )
        self.leases = LeaseKeeper(
            self.nodes,
            node=options.name,
            worker=worker,
            every=timedelta(seconds=settings.renew_s),
            on_displaced=on_displaced,
        )
        self.agent = self._make_agent()
        self.runner = self._make_runner()
        self.subscriptions = Subscriptions(
            options.name,
            sweeps=self.sweeps,
            serving=self.agent,
            leases=self.leases,
            warmth=WARMTH,
            on_queue=hooks.on_queue,
            on_queue_retired=hooks.on_queue_retired,
        )
        self.errands = Errands(
            self.redis,
            self._make_upkeep(),
            heed=self.subscriptions.heed,
            every_s=settings.sweep_s,
        )
        self.threads = Threads(hooks.threads)
        self.watchdog = Watchdog(
            Signs(
                polled=since(lambda: max(GATE.asked_at, self.threads.free_since)),
                looped=since(lambda: self.leases.looped_at),
                answered=lambda: self.leases.answered_s,
            )
        )
        self.scout = Scout(GATE, backlog, lambda: WARMTH.order(list(hooks.queues())))
        self.announcer = Announcer(self.nodes, node=options.name)

    def _make_agent(self) -> NodeAgent:
        options, settings = self._options, self._settings
        return NodeAgent(
            Identity(
                name=options.name,
                pool=options.pool,
                url=str(self._address),
                worker=self._worker,
                restart_command=options.restart_command,
            ),
            self.nodes,
            self.comfyui,
            neighbours=self._neighbours,
            health=Health(HealthPolicy(first_s=settings.node_quarantine_s)),
            breaker=self._breaker,
            spool=self.spool,
            canary_s=settings.node_canary_s,
            watched=self.leases.attempts,
            pace=GATE.pace,
            on_state=lambda ready: GATE.set_ready(ready=ready),
            on_catalog=lambda: self.subscriptions.look(),  # noqa: PLW0108 - made after it
        )

    def _make_runner(self) -> Runner:
        node, settings = self._options.name, self._settings
        patience = Patience(self._breaker, self.departure, on_damage=self.agent.doubt)
        extra_data = ExtraDataSource(self._store, api_key=settings.nodes_api_key)
        return Runner(
            place=Place(node=node, worker=self._worker, lease=self._lease),
            spool=self.spool,
            store=self._store,
            warmth=WARMTH,
            templates=Templates(self._store),
            comfyui=self.comfyui,
            leases=self.leases,
            patience=patience,
            carrier=InputCarrier(self.objects, self.comfyui),
            render=Render(
                self.comfyui,
                self.events,
                self._store,
                node=node,
                stall=timedelta(seconds=settings.node_progress_s),
                departure=self.departure,
                patience=patience,
                misplaced=Misplaced(GATE, self._neighbours, load_s=settings.node_load_s),
                extra_data=extra_data,
            ),
            delivery=Delivery(
                node=node,
                prefix=settings.s3_prefix,
                comfyui=self.comfyui,
                objects=self.objects,
                store=self._store,
                patience=patience,
            ),
            settler=Settler(
                node,
                store=self._store,
                dispatch=self._dispatch,
                comfyui=self.comfyui,
                patience=patience,
                standing=self.agent,
                detour=Detour(
                    node,
                    nodes=self.nodes,
                    sweeps=self.sweeps,
                    rerouting=Rerouting(self.redis),
                    learner=self.agent,
                ),
                peers=self._neighbours,
            ),
            standing=self.agent,
            elsewhere=Elsewhere(self._store, self._dispatch, self._neighbours),
            extra_data=extra_data,
        )

    def _make_upkeep(self) -> Upkeep:
        return Upkeep(
            store=self._store,
            sweeps=self.sweeps,
            dispatch=self._dispatch,
            who=self._worker,
            lease=self._lease,
            renew=timedelta(seconds=self._settings.renew_s),
            every=timedelta(seconds=self._settings.sweep_s),
            interrupt=lapsed.Interrupter(self.nodes, own=self._address),
            judge=lapsed.judge,
        )


def _spool_folder(settings: Settings, name: str, *, fleet: str) -> Path:
    if settings.node_spool_dir:
        return settings.node_spool_dir / name
    return own_path(name, fleet=fleet, suffix=".spool")
