"""The worker's node: who it is, whether it is well, what it can run."""

from __future__ import annotations

import logging
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from threading import Event, Thread
from typing import Any, Final

from producer.contract.catalog import Catalog
from producer.contract.errors import FleetError, NodeError, NodeNameTaken, StorageError
from producer.contract.nodes import NodeState
from producer.contract.queues import Needs, node_queue
from producer.store.node_store import NodeStore
from worker.canary import Canary
from worker.comfyui.client import ComfyUI
from worker.health import Health, Standing
from worker.name_lock import NameLock
from worker.neighbours import Neighbours
from worker.store_breaker import StoreBreaker

_log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 5.0
_LOOK_SICK_EVERY_S: Final = 1.0
#: A model that was put on the node's disk is known to the fleet after so long, s.
_CATALOG_FRESH_S: Final = 300.0
#: A restart is given so long before it is tried again, s.
_RESTART_EVERY_S: Final = 120.0

_STATES: Final = {
    Standing.WELL: NodeState.READY,
    Standing.TRIAL: NodeState.READY,
    Standing.SUSPECT: NodeState.SUSPECT,
    Standing.QUARANTINED: NodeState.QUARANTINED,
}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a node is called, and where it is.

    Args:
        restart_command: restarts its ComfyUI; run when that hangs.
    """

    name: str
    pool: str
    url: str
    worker: str
    restart_command: str | None = None


class NodeAgent:
    """Registers the node, looks after its ComfyUI, and says when it may take work.

    Args:
        on_state: called with every change of whether the node may take work.
        on_catalog: called when what the node can run is known, or has changed.
    """

    def __init__(
        self,
        identity: Identity,
        nodes: NodeStore,
        comfyui: ComfyUI,
        *,
        neighbours: Neighbours,
        health: Health,
        breaker: StoreBreaker,
        canary_s: float,
        on_state: Callable[[bool], None],
        on_catalog: Callable[[], None],
    ) -> None:
        self.identity = identity
        self.catalog: Catalog | None = None
        self._nodes = nodes
        self._comfyui = comfyui
        self._neighbours = neighbours
        self._health = health
        self._breaker = breaker
        self._on_state = on_state
        self._on_catalog = on_catalog
        self._catalog_read: float | None = None
        self._said: tuple[NodeState, str] = (NodeState.JOINING, "")
        self._restarted: float | None = None
        self._stopped = Event()
        self._news = Event()
        self._canary = Canary(
            comfyui, node=identity.name, patience_s=canary_s, stopped=self._stopped
        )
        self._thread = Thread(target=self._run, name="node-agent", daemon=True)

    def join(self, lock: NameLock, *, patience: timedelta) -> None:
        """Take the node's name in the fleet.

        Args:
            patience: how long to wait for a holder on another host to fall silent.

        Raises:
            NodeNameTaken: a living worker on another host serves under this name.
        """
        name = self.identity.name
        here = f"{socket.gethostname()}:{lock.path}"
        known = {node.name: node for node in self._nodes.nodes()}
        # We have this host's lock, so a predecessor that held the same one is gone.
        gone = name in known and known[name].host == here
        deadline = time.monotonic() + patience.total_seconds()
        while True:
            try:
                self._register({"host": here, "state": NodeState.JOINING, "reason": ""}, gone=gone)
            except NodeNameTaken:
                if time.monotonic() > deadline:
                    raise
                self._stopped.wait(0.5)
            else:
                return

    def learn(self) -> None:
        """Find out what the node can run, for jobs that were taken back before all else."""
        try:
            self.catalog = Catalog.from_object_info(self._comfyui.object_info())
        except NodeError as exc:
            _log.warning("node %s does not say what it can run: %s", self.identity.name, exc)

    def start(self) -> None:
        """Begin to look after the node."""
        self._thread.start()

    def drain(self) -> None:
        """Take nothing more."""
        self._stopped.set()
        self._news.set()
        self._on_state(False)  # noqa: FBT003 - a callback has no keywords
        try:
            self._nodes.say(self.identity.name, state=NodeState.DRAINING, reason="its worker stops")
        except FleetError as exc:
            _log.warning("node %s drains without a word: %s", self.identity.name, exc)

    def leave(self) -> None:
        """Tell the fleet that the worker has left, so that a successor need not wait."""
        try:
            self._nodes.retire(self.identity.name, worker=self.identity.worker)
        except FleetError as exc:
            _log.warning("node %s left without a word: %s", self.identity.name, exc)

    def rejoin(self) -> None:
        """Write the node's record anew: Redis has lost it."""
        self._catalog_read = None
        self._news.set()

    def look_soon(self) -> None:
        """Look now, not at the next turn; take nothing until then if there is trouble."""
        if not self._may_take:
            self._on_state(False)  # noqa: FBT003
        self._news.set()

    def blame(self, reason: str) -> None:
        """Hear that a job failed and the node is to blame."""
        try:
            is_last = not self._neighbours.has_ready()
        except FleetError:
            is_last = False
        self._health.fault(reason, is_last_of_pool=is_last)
        _log.warning("node %s is %s: %s", self.identity.name, self._health.standing, reason)
        self.look_soon()

    def doubt(self) -> None:
        """Hear that a file came damaged; it is fetched again, and nothing is taken meanwhile.

        Renders shorter than a fetch would else be wasted by the dozen. The verdict on the job, or
        the next look, opens the gate again.
        """
        self._on_state(False)  # noqa: FBT003

    def praise(self) -> None:
        """Hear that a job succeeded here."""
        self._health.success()
        if not self._stopped.is_set():
            self._on_state(self._said[0] is NodeState.READY and self._may_take)

    def serves(self, queue: str, needs: Needs) -> bool:
        """Tell whether the node can run every job of *queue*."""
        if queue == node_queue(self.identity.name):
            return True
        if self.catalog is None or needs.pool != self.identity.pool or queue != needs.queue:
            return False
        return self.catalog.serves(needs)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._news.clear()
            try:
                self._look()
            except StorageError as exc:
                self._enter(NodeState.BLOCKED, exc.message)
            except NodeError as exc:
                self._enter(NodeState.UNREACHABLE, exc.detail)
            except FleetError as exc:
                _log.warning("node %s: %s", self.identity.name, exc)
            except Exception:  # noqa: BLE001 - without this thread the node is lost to the fleet
                _log.exception("node %s: the look at ComfyUI failed", self.identity.name)
            well = self._said[0] is NodeState.READY
            self._news.wait(_LOOK_EVERY_S if well else _LOOK_SICK_EVERY_S)

    def _look(self) -> None:
        try:
            self._comfyui.queue_remaining()
        except NodeError:
            self._restart_comfyui()
            raise
        if self._catalog_read is None or (
            time.monotonic() - self._catalog_read > _CATALOG_FRESH_S
            # A ComfyUI that was away may be another one now: another version, other models.
            or self._said[0] is NodeState.UNREACHABLE
        ):
            self._read_catalog()
        if self._breaker.reason is not None:
            self._breaker.look()
        if self._health.wants_canary and self.catalog is not None:
            self._enter(_STATES[self._health.standing], self._health.reason)
            self._send_canary(self.catalog)
        self._enter(_STATES[self._health.standing], self._health.reason)

    def _send_canary(self, catalog: Catalog) -> None:
        try:
            if self._canary.fly(catalog):
                self._health.canary_passed()
        except NodeError as exc:
            self._health.fault(exc.detail, is_last_of_pool=not self._neighbours.has_ready())
            self._restart_comfyui()

    def _read_catalog(self) -> None:
        catalog = Catalog.from_object_info(self._comfyui.object_info())
        facts = _facts(self._comfyui.system_stats())
        state, reason = self._said
        self._register(
            {
                **facts,
                "catalog": catalog.to_text(),
                "catalog_sha": catalog.sha,
                "state": state,
                "reason": reason,
            }
        )
        self._catalog_read = time.monotonic()
        if self.catalog is None or self.catalog.sha != catalog.sha:
            self.catalog = catalog
            self._on_catalog()

    def _register(self, fields: Mapping[str, str | int], *, gone: bool = False) -> None:
        identity = self.identity
        self._nodes.register(
            identity.name,
            worker=identity.worker,
            predecessor_gone=gone,
            fields={"pool": identity.pool, "url": identity.url, **fields},
        )

    @property
    def _may_take(self) -> bool:
        return self._health.may_take and self._breaker.reason is None

    def _enter(self, state: NodeState, reason: str) -> None:
        if (state, reason) != self._said:
            why = f": {reason}" if reason else ""
            _log.info("node %s is %s%s", self.identity.name, state, why)
            self._nodes.say(self.identity.name, state=state, reason=reason)
            self._said = (state, reason)
        # Also without a change: a fault between two looks has closed the gate.
        if not self._stopped.is_set():
            self._on_state(state is NodeState.READY and self._may_take)

    def _restart_comfyui(self) -> None:
        """Run the operator's command, now and then, on a node that hangs or is away."""
        command = self.identity.restart_command
        now = time.monotonic()
        if command is None or now - (self._restarted or -_RESTART_EVERY_S) < _RESTART_EVERY_S:
            return
        self._restarted = now
        _log.warning("node %s: running %s", self.identity.name, command)
        try:
            subprocess.run(shlex.split(command), check=True, timeout=60)  # noqa: S603 - theirs
        except (OSError, ValueError, subprocess.SubprocessError) as exc:
            _log.error("node %s: the restart command failed: %s", self.identity.name, exc)


def _facts(stats: Mapping[str, Any]) -> dict[str, str | int]:
    """Pick what the fleet shows of `GET /system_stats` (ComfyUI 0.3.64); never its argv."""
    system: Mapping[str, Any] = stats.get("system") or {}
    devices = stats.get("devices") or [{}]
    return {
        "comfyui_version": str(system.get("comfyui_version", "")),
        "device": str(devices[0].get("name", "")),
        "vram_total": int(devices[0].get("vram_total") or 0),
    }
