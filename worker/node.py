"""The worker's node: who it is, whether its ComfyUI is well, what it can run."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from threading import Event, Thread
from typing import Any, Final

from producer.contract.catalog import Catalog
from producer.contract.errors import FleetError, NodeError, NodeNameTaken
from producer.contract.nodes import NodeState
from producer.contract.queues import Needs, node_queue
from producer.store.node_store import NodeStore
from worker.comfyui.client import ComfyUI
from worker.name_lock import NameLock

_log = logging.getLogger(__name__)

_PROBE_EVERY_S: Final = 5.0
_PROBE_SICK_EVERY_S: Final = 1.0
#: A model that was put on the node's disk is known to the fleet after so long, s.
_CATALOG_FRESH_S: Final = 300.0


class NodeAgent:
    """Registers the node, looks after its ComfyUI, and says when it may take work.

    Args:
        on_state: called with every change of whether the node may take work.
        on_catalog: called when what the node can run is known, or has changed.
    """

    def __init__(
        self,
        nodes: NodeStore,
        comfyui: ComfyUI,
        *,
        name: str,
        pool: str,
        url: str,
        worker: str,
        on_state: Callable[[bool], None],
        on_catalog: Callable[[], None],
    ) -> None:
        self.name = name
        self.pool = pool
        self._nodes = nodes
        self._comfyui = comfyui
        self._url = url
        self._worker = worker
        self._on_state = on_state
        self._on_catalog = on_catalog
        self.catalog: Catalog | None = None
        self._catalog_read = 0.0
        self._state = NodeState.JOINING
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="node-agent", daemon=True)

    def join(self, lock: NameLock, *, patience: timedelta) -> None:
        """Take the node's name in the fleet.

        Args:
            patience: how long to wait for a holder on another host to fall silent.

        Raises:
            NodeNameTaken: a living worker on another host serves under this name.
        """
        here = f"{socket.gethostname()}:{lock.path}"
        known = {node.name: node for node in self._nodes.nodes()}
        # We have this host's lock, so a predecessor that held the same one is gone.
        gone = self.name in known and known[self.name].host == here
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

    def start(self) -> None:
        """Begin to look after the node."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking, and tell the fleet that the worker has left."""
        self._stopped.set()
        self._on_state(False)  # noqa: FBT003 - a callback has no keywords
        try:
            self._nodes.retire(self.name, worker=self._worker)
        except FleetError as exc:
            _log.warning("node %s: left without a word: %s", self.name, exc)

    def serves(self, queue: str, needs: Needs) -> bool:
        """Tell whether the node can run every job of *queue*."""
        if queue == node_queue(self.name):
            return True
        if self.catalog is None or needs.pool != self.pool or queue != needs.queue:
            return False
        return self.catalog.models.issuperset(needs.models) and all(
            name in self.catalog.classes for name in needs.classes
        )

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._look()
            except NodeError as exc:
                self._enter(NodeState.UNREACHABLE, exc.message)
            except FleetError as exc:
                _log.warning("node %s: %s", self.name, exc)
            except Exception:  # noqa: BLE001 - without this thread the node is lost to the fleet
                _log.exception("node %s: the look at ComfyUI failed", self.name)
            well = self._state is NodeState.READY
            self._stopped.wait(_PROBE_EVERY_S if well else _PROBE_SICK_EVERY_S)

    def _look(self) -> None:
        self._comfyui.queue_remaining()
        stale = time.monotonic() - self._catalog_read > _CATALOG_FRESH_S
        # A ComfyUI that was away may be another one now: another version, other models.
        if stale or self._state is not NodeState.READY:
            self._read_catalog()
        self._enter(NodeState.READY, "")

    def _read_catalog(self) -> None:
        catalog = Catalog.from_object_info(self._comfyui.object_info())
        facts = _facts(self._comfyui.system_stats())
        self._catalog_read = time.monotonic()
        self._register({**facts, "catalog": catalog.to_text(), "catalog_sha": catalog.sha})
        if self.catalog is None or self.catalog.sha != catalog.sha:
            self.catalog = catalog
            self._on_catalog()

    def _register(self, fields: Mapping[str, str | int], *, gone: bool = False) -> None:
        self._nodes.register(
            self.name,
            worker=self._worker,
            predecessor_gone=gone,
            fields={"pool": self.pool, "url": self._url, **fields},
        )

    def _enter(self, state: NodeState, reason: str) -> None:
        if state is self._state:
            return
        _log.info("node %s is %s%s", self.name, state, f": {reason}" if reason else "")
        self._nodes.say(self.name, state=state, reason=reason)
        self._state = state
        self._on_state(state is NodeState.READY)


def _facts(stats: Mapping[str, Any]) -> dict[str, str | int]:
    """Pick what the fleet shows of `GET /system_stats` (ComfyUI 0.3.64); never its argv."""
    system: Mapping[str, Any] = stats.get("system") or {}
    devices = stats.get("devices") or [{}]
    return {
        "comfyui_version": str(system.get("comfyui_version", "")),
        "device": str(devices[0].get("name", "")),
        "vram_total": int(devices[0].get("vram_total") or 0),
    }
