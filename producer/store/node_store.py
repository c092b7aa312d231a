"""Node store: the records of nodes, their beats, and the leases renewed with each beat."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from producer.contract.errors import NodeNameTaken
from producer.contract.ids import JobId
from producer.contract.nodes import LEFT, NodeState, NodeWork
from producer.contract.operations import Wanted
from producer.store import keys
from producer.store.attempts import Hold
from producer.store.connection import translated
from producer.store.desired_states import present_wish
from producer.store.node_reader import NodeReader
from producer.store.outlook import models_text
from producer.store.records import flat
from producer.store.scripts import Scripts
from producer.store.times import to_ms

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)

_KEEP_MS: Final = 7 * 86_400_000  # life of a node's record after its last beat


@dataclass(frozen=True)
class Beat:
    """The answer to a beat."""

    holder: str  #: The worker the node's record names; another one means: stop.
    lost: frozenset[JobId]  #: Jobs this worker no longer holds.
    cancels: frozenset[JobId]  #: Jobs whose end somebody asked for.
    is_watched: bool = True  #: Whether somebody reads the events.
    wanted: Wanted = field(default_factory=Wanted)  #: What persons want of the node.


class NodeStore(NodeReader):
    """The records of the fleet's nodes.

    Args:
        redis: connected with `decode_responses=True`.
        lease: how long a node may be silent before it counts as offline.
    """

    def __init__(self, redis: Redis, *, lease: timedelta, scripts: Scripts | None = None) -> None:
        super().__init__(redis, lease=lease)
        self._scripts = scripts or Scripts(redis)

    def register(
        self,
        name: str,
        *,
        worker: str,
        fields: Mapping[str, str | int],
        predecessor_gone: bool = False,
    ) -> Wanted:
        """Write the node's record for *worker*, and return what persons want of the node.

        Args:
            fields: as in `Node`, plus `catalog` (`Catalog.to_text`) and `rules`
                (`InputRules.to_text`).
            predecessor_gone: whether the caller knows that no other worker of this name is alive.

        Raises:
            NodeNameTaken: another living worker has this name.
        """
        outcome, *told = self._scripts.run(
            "register",
            keys=[keys.node(name)],
            args=[
                name,
                worker,
                self._lease_ms,
                int(predecessor_gone),
                _KEEP_MS,
                *flat(fields),
            ],
        )
        if outcome == "taken":
            raise NodeNameTaken(name, f"a worker on host {told[0]}")
        return _wanted(told)

    def beat(
        self,
        name: str,
        *,
        worker: str,
        holds: Iterable[Hold] = (),
        fetched_in: Mapping[JobId, timedelta] = {},
        idle_in: str | None = None,
        work: NodeWork | None = None,
    ) -> Beat:
        """Record that the node's worker is alive, and renew all its leases, in one call.

        Args:
            fetched_in: how long each of these jobs fetched before it began to store, which nobody has
                noted yet.
            idle_in: the pool in which the node waits for work, if it does; holds for a lease.
            work: what the node has done, written beside the beat.
        """
        held = [
            part
            for hold in holds
            for part in (
                hold.job_id,
                hold.attempt,
                to_ms(fetched_in[hold.job_id]) if hold.job_id in fetched_in else "",
            )
        ]
        done = work.model_dump_json(exclude_defaults=True) if work else ""
        holder, lost, cancels, watched, *told = self._scripts.run(
            "renew",
            keys=[keys.node(name)],
            args=[name, worker, self._lease_ms, _KEEP_MS, idle_in or "", done, *held],
        )
        return Beat(
            holder=holder,
            lost=frozenset(map(JobId, lost)),
            cancels=frozenset(map(JobId, cancels)),
            is_watched=bool(watched),
            wanted=_wanted(told),
        )

    def say(self, name: str, *, state: NodeState, reason: str = "") -> None:
        """Write the node's state and why."""
        self._scripts.run("node_state", keys=[keys.node(name)], args=[name, state, reason, ""])

    def ask(self, name: str, what: Literal["clear", "probe", "restart", "restart_now"]) -> None:
        """Have a node's worker forget its doubts of the node, try the node, or restart its ComfyUI, once."""
        self._scripts.run("ask_node", keys=[keys.node(name)], args=[name, f"{what}_ms"])

    def ask_rescan(self, name: str = "*") -> None:
        """Publish a call to a node, or all (`*`), to read its models and classes again."""
        with translated(self._redis):
            self._redis.publish(keys.CALLS, f"rescan {name}")

    def contradict(self, name: str, job_id: JobId, message: str) -> None:
        """Publish a call to a node that a job which failed there, with *message*, succeeded elsewhere."""
        with translated(self._redis):
            self._redis.publish(keys.CALLS, f"contradicted {name} {job_id} {message}")

    def say_vram(self, name: str, *, free_bytes: int) -> None:
        """Record the node's free VRAM, bytes."""
        with translated(self._redis):
            self._redis.hset(keys.node(name), "vram_free", free_bytes)

    def say_companion(self, name: str, *, is_there: bool, gained_s: int) -> None:
        """Record whether the node's ComfyUI has the companion, and the seconds that it gained."""
        known: dict[Any, Any] = {"companion": int(is_there), "companion_gained_s": gained_s}
        with translated(self._redis):
            self._redis.hset(keys.node(name), mapping=known)

    def say_warm(self, name: str, models: Iterable[str]) -> None:
        """Record which models the node has loaded, and publish a call with them."""
        text = models_text(models)
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            # The record first, so that an outlook made in between has it.
            pipe.hset(keys.node(name), "warm", text)
            pipe.publish(keys.CALLS, f"warm {name} {text}")
            pipe.execute()

    def say_pace(self, name: str, text: str) -> None:
        """Record the look-ahead depth of the node's worker, and why, as text."""
        with translated(self._redis):
            self._redis.hset(keys.node(name), "pace", text)

    def say_outcome(self, name: str, of: Literal["probe", "restart"], text: str) -> None:
        """Record what came of a canary, or of a restart, that was asked for."""
        with translated(self._redis):
            self._redis.hset(keys.node(name), of, text)

    def retire(self, name: str, *, worker: str) -> None:
        """Say that the worker has left in good order, so that a successor need not wait."""
        self._scripts.run(
            "node_state",
            keys=[keys.node(name)],
            args=[name, NodeState.OFFLINE, LEFT, worker],
        )


def _wanted(told: Sequence[str]) -> Wanted:
    own, quarantine, pool, *asked = told
    return Wanted(present_wish(own), present_wish(quarantine), present_wish(pool), *asked)
