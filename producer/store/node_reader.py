"""Nodes as their records tell of them: what they are, and which classes and models they have."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from producer.contract.classes.catalog import Catalog
from producer.contract.classes.input_rules import InputRules
from producer.contract.graph.json_values import printable
from producer.contract.nodes import Node, NodeState, NodeWork
from producer.contract.text_cleaning import abridged, escaped
from producer.store import keys
from producer.store.connection import replies_of, translated
from producer.store.desired_states import present_wish
from producer.store.outlook import read_models
from producer.store.times import to_ms

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)

#: The fields that `nodes` reads: not the catalog, which is large.
_FIELDS: Final = ("beat_ms", *(set(Node.model_fields) - {"name", "silent_s"}))
_WISHES: Final = ("desired", "quarantine", "pool_desired")
_RULES_KEPT: Final = 32


class NodeReader:
    """Reads the records of nodes.

    Args:
        redis: connected with `decode_responses=True`.
        lease: how long a node may be silent before it counts as offline.
    """

    def __init__(self, redis: Redis, *, lease: timedelta) -> None:
        self._redis = redis
        self._lease_ms = to_ms(lease)
        self._catalogs: dict[str, Catalog] = {}  # by their hash; they change with models only
        self._rules: dict[str, InputRules] = {}  # by their hash; they change with versions only
        self._passed_over: set[str] = set()

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
