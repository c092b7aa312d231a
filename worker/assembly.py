"""Assembly of a worker: constructs its parts and connects them; `worker.service` starts and stops them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from producer.contract.config.node_address import NodeAddress
from producer.contract.config.node_credentials import credentials_of
from producer.contract.config.settings import Settings
from producer.contract.params.params import set_params
from producer.dispatch import Dispatch
from producer.storage.batch_results import BatchResults
from producer.store.backlog import Backlog
from producer.store.connection import address, connect
from producer.store.job_store import JobStore
from producer.store.node_seconds import NodeSeconds
from producer.store.node_store import NodeStore
from producer.store.previews import Previews
from producer.store.rerouting import Rerouting
from producer.store.sweeps import Sweeps
from producer.upkeep.sweeper import Upkeep
from worker.attempt import expired_leases
from worker.attempt.delivery import Delivery
from worker.attempt.extra_data import ExtraDataSource
from worker.attempt.failures import Failures
from worker.attempt.fleet_rates import FleetRates
from worker.attempt.hand_back import HandBack
from worker.attempt.input_files import InputFiles
from worker.attempt.lease import LeaseKeeper
from worker.attempt.outages import Outages
from worker.attempt.render import Render
from worker.attempt.rerouting import Rerouter
from worker.attempt.retry_placement import RetryPlacement
from worker.attempt.runner import Claimant, Runner
from worker.attempt.shared_contents import SharedContents
from worker.attempt.shutdown import Shutdown, ShutdownMode
from worker.attempt.templates import Templates
from worker.comfyui.client import ComfyUI
from worker.comfyui.events import EventSocket
from worker.copies.copier import copier_of
from worker.housekeeping import Housekeeping
from worker.node.agent import NodeAgent
from worker.node.health import Health, HealthPolicy
from worker.node.name_lock import node_path
from worker.node.peers import Peers
from worker.node.registration import Identity
from worker.node.spool import Spool
from worker.node.storage_breaker import StorageBreaker
from worker.open_connections import make_boto3_cuttable
from worker.scheduling.backlog_probe import BacklogProbe
from worker.scheduling.gate import GATE
from worker.scheduling.loaded_models import LOADED_MODELS
from worker.scheduling.models_announcer import ModelsAnnouncer
from worker.subscriptions import Subscriptions
from worker.watchdog import JobThreads, LifeSigns, Watchdog, since

#: Seconds between two looks for results of batches to be written.
_RESULTS_EVERY_S: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which node a worker serves, and how.

    Args:
        comfyui_url: its ComfyUI's address, which may hold a password.
        handover: the node leaves the fleet when the worker stops; running jobs go to other nodes.
        restart_command: restarts the node's ComfyUI; run when that hangs.
    """

    name: str
    pool: str
    comfyui_url: str = field(repr=False)
    handover: bool = False
    restart_command: str | None = None


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Callbacks into the Celery side of the worker.

    Args:
        threads: how many attempts run at once.
        queues: returns the queues that the worker consumes.
        on_queue: called with each queue that the worker should consume.
        on_queue_retired: called with each queue that was retired.
        on_taken_over: called with the other worker's id when it has the node's name.
    """

    threads: int
    queues: Callable[[], Collection[str]]
    on_queue: Callable[[str], None]
    on_queue_retired: Callable[[str], None]
    on_taken_over: Callable[[str], None]


class Parts:
    """All parts of one worker, connected and not yet started.

    Args:
        worker: id of this process, unlike that of any other that served the node.
        on_displaced: called with the worker that the node's record names instead; "" for none.
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
        self._options, self._settings, self._worker = options, settings, worker
        self._lease = timedelta(seconds=settings.lease_s)
        keep_ended = timedelta(seconds=settings.keep_ended_s)

        self.redis = connect(settings)
        self.fleet = address(self.redis)
        self.nodes = NodeStore(self.redis, lease=self._lease)
        self.sweeps = Sweeps(self.redis, keep_ended=keep_ended)
        make_boto3_cuttable()
        self.objects = BatchResults(settings)
        self._address = NodeAddress.parse(options.comfyui_url, credentials_of(settings))
        self.comfyui = ComfyUI(self._address, node=options.name, info_s=settings.node_info_s)
        self.events = EventSocket(self._address, node=options.name)
        self._store = JobStore(self.redis, keep_ended=keep_ended)
        self._dispatch = Dispatch(settings)
        backlog = Backlog(self.redis, node=options.name, pool=options.pool, lease=self._lease)
        self._peers = Peers(self.nodes, backlog, self.sweeps, name=options.name, pool=options.pool)

        self.spool = Spool(
            _spool_folder(settings, options.name, fleet=self.fleet), node=options.name
        )
        self.shutdown = Shutdown(
            options.name, mode=ShutdownMode.HANDOVER if options.handover else ShutdownMode.SUCCESSOR
        )
        self._breaker = StorageBreaker(self.objects)
        self.leases = LeaseKeeper(
            self.nodes,
            node=options.name,
            worker=worker,
            every=timedelta(seconds=settings.renew_s),
            idle_in=lambda: options.pool if GATE.is_idle else None,
            work=GATE.card_use.counted,
            on_displaced=on_displaced,
        )
        self.agent = self._make_agent()
        self.copier = copier_of(settings, self.redis, self._store, folder=self.spool.shared_folder)
        self.runner = self._make_runner()
        upkeep = self._make_upkeep()
        self.subscriptions = Subscriptions(
            options.name,
            sweeps=self.sweeps,
            upkeep=upkeep,
            agent=self.agent,
            leases=self.leases,
            loaded_models=LOADED_MODELS,
            on_queue=hooks.on_queue,
            on_queue_retired=hooks.on_queue_retired,
        )
        self.housekeeping = Housekeeping(
            self.redis,
            upkeep,
            on_call=self.subscriptions.on_call,
            every_s=settings.sweep_s,
            results_every_s=min(_RESULTS_EVERY_S, settings.pack_ended_s),
        )
        self.threads = JobThreads(hooks.threads)
        self.watchdog = Watchdog(
            LifeSigns(
                polled=since(lambda: max(GATE.asked_at, self.threads.free_since)),
                looped=since(lambda: self.leases.looped_at),
                answered=lambda: self.leases.answered_s,
            )
        )
        self.backlog_probe = BacklogProbe(
            GATE, backlog, lambda: LOADED_MODELS.order(list(hooks.queues()))
        )
        self.models_announcer = ModelsAnnouncer(self.nodes, node=options.name)

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
            peers=self._peers,
            health=Health(HealthPolicy(first_s=settings.node_quarantine_s)),
            breaker=self._breaker,
            spool=self.spool,
            canary_s=settings.node_canary_s,
            watched=self.leases.attempts,
            gate=GATE,
        )

    def _make_runner(self) -> Runner:
        node, settings = self._options.name, self._settings
        outages = Outages(self._breaker, self.shutdown, on_damage=self.agent.on_damaged_file)
        extra_data = ExtraDataSource(self._store, api_key=settings.nodes_api_key)
        templates = Templates(self._store)
        fleet_rates = FleetRates(
            NodeSeconds(self.redis),
            GATE.render_times,
            node=node,
            device=lambda: self.agent.facts.device,
        )
        return Runner(
            claimant=Claimant(node=node, worker=self._worker, lease=self._lease),
            spool=self.spool,
            store=self._store,
            nodes=self.nodes,
            loaded_models=LOADED_MODELS,
            templates=templates,
            comfyui=self.comfyui,
            leases=self.leases,
            outages=outages,
            input_files=InputFiles(self.objects, self.comfyui),
            render=Render(
                self.comfyui,
                self.events,
                self._store,
                Previews(self.redis),
                node=node,
                stall=timedelta(seconds=settings.node_progress_s),
                shutdown=self.shutdown,
                outages=outages,
                hand_back=HandBack(GATE, self._peers, load_s=LOADED_MODELS.load_s),
                fleet_rates=fleet_rates,
                extra_data=extra_data,
                is_watched=lambda: self.leases.is_watched,
            ),
            delivery=Delivery(
                node=node,
                prefix=settings.s3_prefix,
                comfyui=self.comfyui,
                objects=self.objects,
                store=self._store,
                outages=outages,
                contents=SharedContents(
                    self.objects, self._store, templates, outages, prefix=settings.s3_prefix
                ),
                handed_in=lambda job: set_params(templates.graph(job.template), job.set_values),
                node_facts=lambda: self.agent.facts,
                is_watched=lambda: self.leases.is_watched,
                on_copies=self.copier.wake,
            ),
            failures=Failures(
                node,
                store=self._store,
                dispatch=self._dispatch,
                comfyui=self.comfyui,
                outages=outages,
                agent=self.agent,
                rerouter=Rerouter(
                    node,
                    nodes=self.nodes,
                    sweeps=self.sweeps,
                    rerouting=Rerouting(self.redis),
                    agent=self.agent,
                ),
                peers=self._peers,
            ),
            agent=self.agent,
            retry_placement=RetryPlacement(self._store, self._dispatch, self._peers),
            extra_data=extra_data,
            fleet_rates=fleet_rates,
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
            interrupt=expired_leases.PromptInterrupter(self.nodes, own=self._address),
            judge=expired_leases.decide_expired,
            pack_after=timedelta(seconds=self._settings.pack_ended_s),
            objects=self.objects,
            redis=self.redis,
        )


def _spool_folder(settings: Settings, name: str, *, fleet: str) -> Path:
    own = settings.node_spool_dir
    return own / name if own else node_path(name, fleet=fleet, suffix=".spool")
