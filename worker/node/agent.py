"""The node's agent: registers the node, checks its health, reads its catalog, opens and closes the gate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import timedelta
from threading import Event, Thread
from typing import Any, Final

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.input_rules import InputRules
from producer.contract.classes.placement import serves
from producer.contract.errors import FleetError, StorageError
from producer.contract.ids import JobId
from producer.contract.nodes import NodeState
from producer.contract.operations import Wanted
from producer.contract.queues import Needs
from producer.store.node_store import NodeStore
from worker.comfyui.catalog_limits import check_catalog
from worker.comfyui.client import ComfyUI
from worker.errors import NodeError
from worker.foreign_data import read_as_expected
from worker.node.canary import Canary
from worker.node.catalog_age import CatalogAge
from worker.node.contradictions import Contradictions
from worker.node.health import STATES, Health
from worker.node.name_lock import NameLock
from worker.node.peers import Peers
from worker.node.prober import Prober
from worker.node.registration import Identity, NodeFacts, Registration, version_of
from worker.node.restarter import Restarter
from worker.node.spool import Spool
from worker.node.storage_breaker import StorageBreaker
from worker.node.wishes import Wishes
from worker.scheduling.gate import Gate

_log = logging.getLogger(__name__)

_CHECK_EVERY_S: Final = 5.0
_CHECK_SICK_EVERY_S: Final = 1.0
#: A new model is looked for at once if somebody asks for it, but no more often, s.
_RESCAN_EVERY_S: Final = 5.0


class NodeAgent:
    """Registers the node, checks its ComfyUI, and says when it may take jobs.

    Args:
        watched: returns job and attempt of each prompt that the worker waits for.
        gate: opened and shut by whether the node may take work.
    """

    def __init__(
        self,
        identity: Identity,
        nodes: NodeStore,
        comfyui: ComfyUI,
        *,
        peers: Peers,
        health: Health,
        breaker: StorageBreaker,
        spool: Spool,
        canary_s: float,
        watched: Callable[[], Collection[tuple[str, int]]],
        gate: Gate,
    ) -> None:
        self.identity = identity
        self.catalog: Catalog | None = None
        self._comfyui = comfyui
        self._registration = Registration(identity, nodes)
        self._restarter = Restarter(identity.name, identity.restart_command)
        self._peers = peers
        self._health = health
        self._breaker = breaker
        self._spool = spool
        self._gate = gate
        self._watched = watched
        self._wishes = Wishes(identity.pool)
        self._is_well = False  #: As of the last check, and not paused.
        self._on_catalog: Callable[[], None] = lambda: None
        self._contradictions = Contradictions()
        self._catalog_age = CatalogAge(comfyui)
        self._stopped = Event()
        self._wake = Event()
        canary = Canary(
            comfyui, node=identity.name, timeout_s=canary_s, stopped=self._stopped, watched=watched
        )
        self._prober = Prober(
            *(canary, self._registration, health, peers, self._restarter),
            contradictions=self._contradictions,
            is_busy=lambda: bool(watched()),
        )
        self._thread = Thread(target=self._run, name="node-agent", daemon=True)
        breaker.set_on_broken(self.check_soon)

    @property
    def facts(self) -> NodeFacts:
        """What the node says that it is."""
        return self._registration.facts

    def set_on_catalog(self, on_catalog: Callable[[], None]) -> None:
        """Have *on_catalog* called when what the node can run is known, or has changed."""
        self._on_catalog = on_catalog

    def join(self, lock: NameLock, *, timeout: timedelta) -> None:
        """Take the node's name in the fleet.

        Args:
            timeout: how long to wait for a holder on another host to fall silent.

        Raises:
            NodeNameTaken: a living worker on another host serves under this name.
        """
        self._registration.join(lock, timeout=timeout, wait=self._stopped.wait)
        self.on_desired(self._registration.wanted)

    def load_catalog(self) -> None:
        """Find out what the node can run, for jobs that were taken back before all else."""
        try:
            self.catalog = self._parsed(self._comfyui.object_info())
        except NodeError as exc:
            _log.warning("node %s does not say what it can run: %s", self.identity.name, exc)

    def start(self) -> None:
        """Start the checks."""
        self._thread.start()

    def drain(self) -> None:
        """Close the gate for good: the worker shuts down."""
        self._stopped.set()
        self._wake.set()
        self._gate.set_ready(ready=False)
        self._registration.drain()

    def leave(self) -> None:
        """Tell the fleet that the worker has left, so that a successor need not wait."""
        self._registration.leave()

    def rejoin(self) -> None:
        """Write the node's record anew: Redis has lost it."""
        self._catalog_age.forget()
        self._registration.on_record_lost()
        self._wake.set()

    def check_soon(self) -> None:
        """Check the node now; take nothing until then if node or storage is in doubt."""
        if not self._may_take:
            self._gate.set_ready(ready=False)
        self._wake.set()

    def on_fault(self, reason: str) -> None:
        """Count a fault of the node; take nothing until a canary has succeeded."""
        try:
            is_last = not self._peers.has_ready()
        except FleetError:
            is_last = False
        self._health.on_fault(reason, is_last_of_pool=is_last)
        _log.warning("node %s is %s: %s", self.identity.name, self._health.standing, reason)
        self.check_soon()

    def on_contradicted(self, job_id: JobId, message: str) -> None:
        """Note that a job failed here and succeeded elsewhere; several alike are the node's fault."""
        if reason := self._contradictions.add(job_id, message):
            self.on_fault(reason)

    def on_stale_catalog(self) -> None:
        """Read the catalog anew, as the node lacks what it lists; take nothing until then."""
        self._catalog_age.forget()
        self._gate.set_ready(ready=False)
        self._wake.set()

    def rescan(self) -> None:
        """Read the catalog anew, unless that was done a moment ago.

        `/object_info` of a node with many extensions has megabytes, and lists every model folder.
        """
        age_s = self._catalog_age.seconds
        if age_s is not None and age_s > _RESCAN_EVERY_S:
            self._catalog_age.forget()
            self._wake.set()

    def on_desired(self, wanted: Wanted) -> None:
        """Take nothing while a person wants that, from now on; do once what is asked anew. Twice is harmless."""
        asked = self._wishes.asked(wanted)
        is_other = self._wishes.on_told(wanted)
        self._prober.on_asked(asked)
        if is_other:
            self._gate.set_takes(takes=self._wishes.is_none)
        if is_other or any(asked):
            self.check_soon()

    def on_damaged_file(self) -> None:
        """Close the gate while a file that came damaged is fetched again.

        Renders shorter than a fetch would else be wasted by the dozen. The verdict on the job, or
        the next check, opens the gate again.
        """
        self._gate.set_ready(ready=False)

    def on_success(self) -> None:
        """Count a success: it ends a trial and opens the gate."""
        self._health.on_success()
        self._contradictions.clear()
        self._restarter.on_recovered()
        if not self._stopped.is_set():
            self._gate.set_ready(ready=self._is_well and self._may_take)

    def serves(self, queue: str, needs: Needs) -> bool:
        """Tell whether the node can run every job of *queue*."""
        node, pool = self.identity.name, self.identity.pool
        return serves(queue, needs, node=node, pool=pool, catalog=self.catalog)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.clear()
            try:
                self._check()
            except FleetError as exc:
                _log.warning("node %s: %s", self.identity.name, exc)
            except Exception:  # noqa: BLE001 - without this thread the node is lost to the fleet
                _log.exception("node %s: the check of ComfyUI failed", self.identity.name)
            state = self._registration.state[0]
            is_set_aside = state is NodeState.QUARANTINED and self._health.may_take
            is_calm = is_set_aside or state in {NodeState.READY, NodeState.PAUSED}
            self._wake.wait(_CHECK_EVERY_S if is_calm else _CHECK_SICK_EVERY_S)

    def _check(self) -> None:
        try:
            self._check_node()
        except StorageError as exc:
            self._set_state(NodeState.BLOCKED, exc.message)
        except NodeError as exc:
            self._set_state(NodeState.UNREACHABLE, exc.detail)

    def _check_node(self) -> None:
        self._prober.restart_if_due()
        # First what is wrong with the worker itself: the node is not to blame, nor to restart.
        if problem := self._spool.problem():
            self._set_state(NodeState.BLOCKED, problem)
            return
        try:
            status = self._comfyui.companion.check_executes()
            if status is None:
                self._comfyui.queue_remaining()
        except NodeError:
            self._restarter()
            raise
        if self._registration.state[0] is NodeState.UNREACHABLE:
            self._restarter.on_recovered()
        # A ComfyUI that was away may be another one now: another version, other models.
        if self._registration.state[0] is NodeState.UNREACHABLE or self._catalog_age.must_read():
            status = self._comfyui.companion.find()
            self._read_catalog()
        self._registration.write_vram(status.vram_free if status else None)
        self._registration.write_companion(
            is_there=status is not None, gained_s=status.gained_s if status else None
        )
        if self._breaker.reason is not None:
            self._breaker.probe()
        if self._health.needs_canary and self.catalog is not None:
            self._set_state(STATES[self._health.standing], self._health.reason)
            self._prober(self.catalog)
        self._set_state(STATES[self._health.standing], self._health.reason)
        self._registration.write_lookahead(self._gate.render_times.summary)

    def _read_catalog(self) -> None:
        self._catalog_age.on_reading()
        info, stats = self._comfyui.object_info(), self._comfyui.system_stats()
        catalog = self._parsed(info)
        with read_as_expected(self.identity.name, "what its classes take"):
            rules = InputRules.from_object_info(info, version=version_of(stats))
        self._registration.write_catalog(catalog, rules, stats)
        self._catalog_age.on_read()
        if self.catalog is None or self.catalog.sha != catalog.sha:
            self.catalog = catalog
            self._on_catalog()

    def _parsed(self, info: dict[str, Any]) -> Catalog:
        with read_as_expected(self.identity.name, "what it can run"):
            catalog = Catalog.from_object_info(info)
            check_catalog(catalog)
            return catalog

    @property
    def _may_take(self) -> bool:
        is_well = self._health.may_take and self._breaker.reason is None
        return is_well and not self._prober.must_restart

    def _set_state(self, state: NodeState, reason: str) -> None:
        # What waits behind the render of a paused node is handed back, as that of one in doubt is.
        self._is_well = state is NodeState.READY and not self._wishes.is_pause
        shown = self._wishes.shown(state, reason, is_busy=bool(self._watched()))
        self._registration.set_state(*shown)
        # Also without a change: a fault between two checks has closed the gate.
        if not self._stopped.is_set():
            self._gate.set_ready(ready=self._is_well and self._may_take)
