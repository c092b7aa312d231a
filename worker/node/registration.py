"""The node's record in Redis: its state, its catalog, its free VRAM, written when they change."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.input_rules import InputRules
from producer.contract.errors import FleetError, NodeNameTaken
from producer.contract.nodes import NodeState
from producer.contract.operations import Wanted
from producer.contract.text_cleaning import escaped
from producer.store.node_store import NodeStore
from worker.comfyui.companion import known_bytes
from worker.node.name_lock import NameLock

_log = logging.getLogger(__name__)

#: What a companion gained is told in such steps, s.
_GAINED_STEP_S: Final = 10
#: Free VRAM is written down when it has changed by so much, so that an idle node costs nothing.
_VRAM_STEP_BYTES: Final = 256 << 20
#: Characters of what a node says of itself.
_LONGEST_FACT: Final = 200


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


@dataclass(frozen=True)
class NodeFacts:
    """What a node says that it is; empty where nobody has heard it yet."""

    device: str = ""
    comfyui_version: str = ""


class Registration:
    """Writes what is new, and remembers what was written."""

    def __init__(self, identity: Identity, nodes: NodeStore) -> None:
        self._identity = identity
        self._nodes = nodes
        self.state: tuple[NodeState, str] = (NodeState.JOINING, "")
        #: As written last, by a predecessor until the node has been asked.
        self.facts = NodeFacts()
        self.wanted = Wanted()  #: What persons wanted of the node at the last registration.
        self._lookahead = ""
        self._vram_free: int | None = None
        self._companion: tuple[bool, int] | None = None

    def join(self, lock: NameLock, *, timeout: timedelta, wait: Callable[[float], object]) -> None:
        """Take the node's name in the fleet.

        Args:
            timeout: how long to wait for a holder on another host to fall silent.
            wait: waits so many seconds.

        Raises:
            NodeNameTaken: a living worker on another host serves under this name.
        """
        name = self._identity.name
        here = f"{socket.gethostname()}:{lock.path}"
        known = {node.name: node for node in self._nodes.nodes()}
        # We have this host's lock, so a predecessor that held the same one is gone.
        gone = name in known and known[name].host == here
        if name in known:
            self.facts = NodeFacts(known[name].device, known[name].comfyui_version)
        deadline = time.monotonic() + timeout.total_seconds()
        while True:
            try:
                self._register({"host": here, "state": NodeState.JOINING, "reason": ""}, gone=gone)
            except NodeNameTaken:
                if time.monotonic() > deadline:
                    raise
                wait(0.5)
            else:
                return

    def set_state(self, state: NodeState, reason: str) -> None:
        """Say what state the node is in, and why."""
        if (state, reason) != self.state:
            why = f": {reason}" if reason else ""
            _log.info("node %s is %s%s", self._identity.name, state, why)
            self._nodes.say(self._identity.name, state=state, reason=reason)
            self.state = (state, reason)

    def write_catalog(self, catalog: Catalog, rules: InputRules, stats: Mapping[str, Any]) -> None:
        """Say what the node can run and takes, and on what: `GET /system_stats` (ComfyUI 0.3.64)."""
        state, reason = self.state
        text = rules.to_text()
        facts = _facts(stats)
        self.facts = NodeFacts(str(facts["device"]), str(facts["comfyui_version"]))
        self._register(
            {
                **facts,
                "catalog": catalog.to_text(),
                "catalog_sha": catalog.sha,
                "rules": text,
                "rules_sha": rules.sha if text else "",
                "rules_for": catalog.sha,
                "state": state,
                "reason": reason,
            }
        )

    def write_lookahead(self, summary: str) -> None:
        """Say how far the worker looks ahead, and why."""
        if summary != self._lookahead:
            self._nodes.say_pace(self._identity.name, summary)
            self._lookahead = summary

    def write_vram(self, free_bytes: int | None) -> None:
        """Say how much of the node's VRAM is free, if that is known."""
        told = self._vram_free
        if free_bytes is not None and (told is None or abs(free_bytes - told) >= _VRAM_STEP_BYTES):
            self._nodes.say_vram(self._identity.name, free_bytes=free_bytes)
            self._vram_free = free_bytes

    def write_companion(self, *, is_there: bool, gained_s: float | None) -> None:
        """Say whether the node has the companion and what it gained, in steps of 10 s."""
        step = int(gained_s or 0) // _GAINED_STEP_S * _GAINED_STEP_S
        if (is_there, step) != self._companion:
            self._nodes.say_companion(self._identity.name, is_there=is_there, gained_s=step)
            self._companion = (is_there, step)

    def write_outcome(self, of: Literal["probe", "restart"], outcome: str) -> None:
        """Say what came of a canary, or of a restart, that a person asked for."""
        told = f"{outcome}, {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        self._nodes.say_outcome(self._identity.name, of, told)

    def on_record_lost(self) -> None:
        """Forget what was written: Redis has lost the record, and all is written again."""
        self._lookahead, self._vram_free, self._companion = "", None, None

    def drain(self) -> None:
        """Say that the worker takes nothing more."""
        try:
            self._nodes.say(
                self._identity.name, state=NodeState.DRAINING, reason="its worker stops"
            )
        except FleetError as exc:
            _log.warning("node %s drains without a word: %s", self._identity.name, exc)

    def leave(self) -> None:
        """Tell the fleet that the worker has left, so that a successor need not wait."""
        try:
            self._nodes.retire(self._identity.name, worker=self._identity.worker)
        except FleetError as exc:
            _log.warning("node %s left without a word: %s", self._identity.name, exc)

    def _register(self, fields: Mapping[str, str | int], *, gone: bool = False) -> None:
        identity = self._identity
        can_restart = int(identity.restart_command is not None)
        self.wanted = self._nodes.register(
            identity.name,
            worker=identity.worker,
            predecessor_gone=gone,
            fields={
                "pool": identity.pool,
                "url": identity.url,
                "can_restart": can_restart,
                **fields,
            },
        )


def version_of(stats: Mapping[str, Any]) -> str:
    """Return the version that a ComfyUI says it has; empty if it says none."""
    match stats:
        case {"system": {"comfyui_version": str(version)}}:
            return version
        case _:
            return ""


def _facts(stats: Mapping[str, Any]) -> dict[str, str | int]:
    """Pick what the fleet shows of a node's stats; never its argv."""
    match stats:
        case {"devices": [{"name": str(device), **of_device}, *_]}:
            vram_total = of_device.get("vram_total")
        case _:
            device, vram_total = "", None
    return {
        "comfyui_version": escaped(version_of(stats)[:_LONGEST_FACT]),
        "device": escaped(device[:_LONGEST_FACT]),
        # MPS and the CPU say the machine's memory; what is no number is not known.
        "vram_total": known_bytes(vram_total) or 0,
    }
