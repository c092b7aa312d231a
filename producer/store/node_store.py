"""Node store: the records of nodes, their beats, and the leases renewed with each beat."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.input_rules import InputRules
from producer.contract.errors import NodeNameTaken
from producer.contract.graph.json_values import printable
from producer.contract.ids import JobId
from producer.contract.nodes import LEFT, Node, NodeState, NodeWork
from producer.contract.operations import Wanted
from producer.contract.text_cleaning import abridged, escaped
from producer.store import keys
from producer.store.attempts import Hold
from producer.store.connection import replies_of, translated
from producer.store.desired_states import present_wish
from producer.store.outlook import models_text, read_models
from producer.store.records import flat
from producer.store.scripts import Scripts
from producer.store.times import to_ms

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)

#: The fields that `nodes` reads: not the catalog, which is large.
_FIELDS: Final = ("beat_ms", *(set(Node.model_fields) - {"name", "silent_s"}))
_WISHES: Final = ("desired", "quarantine", "pool_desired")
_RULES_KEPT: Final = 32
_KEEP_MS: Final = 7 * 86_400_000  # life of a node's record after its last beat


@dataclass(frozen=True)
class Beat:
    """The answer to a beat."""

    holder: str  #: The worker the node's record names; another one means: stop.
    lost: frozenset[JobId]  #: Jobs this worker no longer holds.
    cancels: frozenset[JobId]  #: Jobs whose end somebody asked for.
    is_watched: bool = True  #: Whether somebody reads the events.
    wanted: Wanted = field(default_factory=Wanted)  #: What persons want of the node.


class NodeStore:
    """The records of the fleet's nodes.

    Args:
        redis: connected with `decode_responses=True`.
        lease: how long a node may be silent before it counts as offline.
    """

    def __init__(self, redis: Redis, *, lease: timedelta, scripts: Scripts | None = None) -> None:
        self._redis = redis
        self._scripts = scripts or Scripts(redis)
        self._lease_ms = to_ms(lease)
        self._catalogs: dict[str, Catalog] = {}  # by their hash; they change with models only
        self._rules: dict[str, InputRules] = {}  # by their hash; they change with versions only
        self._passed_over: set[str] = set()

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

    def nodes(self) -> list[Node]:
        """Return every node with a readable record, sorted by name."""
        with translated(self._redis), self._redis.pipeline(transaction=False) as pipe:
            pipe.zrange(keys.NODES, 0, -1)
            pipe.time()
            names, (seconds, micros) = pipe.execute()
            now = seconds * 1000 + micros // 1000
            for name in names:
                pipe.hmget(keys.node(name), _FIELDS)
            records = replies_of(pipe) if names else []
        there = []
        for name, values in zip(names, records, strict=True):
            if isinstance(values, list) and (node := self._readable(name, values, now)):
                there.append(node)
            elif not isinstance(values, list):
                self._pass_over(name, values)
        return sorted(there, key=lambda node: node.name)

    def catalogs(self, pool: str, *, among: Iterable[Node]) -> dict[str, Catalog]:
        """Return the catalogs of the living nodes of *pool*, '' for any, *among* these, by name."""
        living = [node for node in among if pool in ("", node.pool) and node.is_living]
        known = {node.name: self._catalog(node) for node in living if node.catalog_sha}
        return {name: catalog for name, catalog in known.items() if catalog is not None}

    def rules(self, node: Node) -> InputRules | None:
        """Return a node's input rules; None if there are none for its present catalog."""
        if not node.rules_sha or node.rules_for != node.catalog_sha:
            return None
        if node.rules_sha not in self._rules:
            with translated(self._redis):
                text: Any = self._redis.hget(keys.node(node.name), "rules")
            try:
                found = InputRules.from_text(text or "")
            except ValueError:
                return None
            if len(self._rules) >= _RULES_KEPT:
                self._rules.clear()
            self._rules[node.rules_sha] = found
        return self._rules[node.rules_sha]

    def _catalog(self, node: Node) -> Catalog | None:
        if node.catalog_sha not in self._catalogs:
            with translated(self._redis):
                text: Any = self._redis.hget(keys.node(node.name), "catalog")
            try:
                self._catalogs[node.catalog_sha] = Catalog.from_text(text or "")
            except ValueError as exc:
                self._pass_over(node.name, exc)
                return None
        return self._catalogs[node.catalog_sha]

    def _readable(self, name: str, values: list[Any], now: int) -> Node | None:
        """Return one node; None if its record is invalid, which must not hide the other nodes."""
        record = {f: value for f, value in zip(_FIELDS, values, strict=True) if value is not None}
        if "state" not in record:
            return None
        try:
            return self._read(name, record, now)
        except (ValueError, LookupError, TypeError) as exc:
            self._pass_over(name, exc)
            return None

    def _pass_over(self, name: str, why: Exception) -> None:
        if name not in self._passed_over:  # log once, as nodes are read all the time
            self._passed_over.add(name)
            said = abridged(escaped(str(why)), most=200)
            _log.warning("the record of node %s cannot be read: %s", printable(name), said)

    def _read(self, name: str, record: Mapping[str, str], now: int) -> Node:
        silent_ms = now - int(record["beat_ms"])
        fields: dict[str, Any] = dict(record)
        for wish in _WISHES:
            fields[wish] = present_wish(record.get(wish), now=now)
        fields["warm"] = tuple(sorted(read_models(record.get("warm", "[]"))))
        fields["work"] = _work(record.get("work"))
        if record["state"] not in set(NodeState):
            # A worker of a newer version wrote an unknown state: it is shown as the reason.
            fields |= {"state": NodeState.DRAINING, "reason": record["state"]}
        if silent_ms > self._lease_ms and record["state"] != NodeState.OFFLINE:
            fields |= {"state": NodeState.OFFLINE, "reason": f"silent for {silent_ms // 1000} s"}
        return Node(name=name, silent_s=silent_ms / 1000, **fields)


def _work(text: str | None) -> NodeWork | None:
    """Return what a node has done; figures that cannot be read must not hide the node."""
    with suppress(ValueError):
        return NodeWork.model_validate_json(text) if text else None
    return None


def _wanted(told: Sequence[str]) -> Wanted:
    own, quarantine, pool, *asked = told
    return Wanted(present_wish(own), present_wish(quarantine), present_wish(pool), *asked)
