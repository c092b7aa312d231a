"""Entries of the event stream that tell of batches and nodes, decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from producer.contract.batches import BatchCounts
from producer.contract.fleet_events import BatchEvent, FleetEvent, NodeEvent
from producer.contract.ids import BatchId
from producer.store.times import utc


def fleet_event_of(entry_id: str, entry: Mapping[str, str]) -> FleetEvent:
    """Read one entry; `emit_batch` and `emit_node` of the scripts write them.

    Raises:
        KeyError, ValueError: it is of a kind that we do not know, or says what we do not understand.
    """
    return _READERS[entry["kind"]](entry_id, entry)


def _batch_event(entry_id: str, entry: Mapping[str, str]) -> BatchEvent:
    counts = {name: int(entry[name]) for name in BatchCounts.model_fields}
    return BatchEvent(
        id=entry_id,
        type=entry["type"],
        batch=BatchId(entry["about"]),
        n=int(entry["n"]),
        name=entry.get("name", ""),
        owner=entry.get("owner", ""),
        rows=int(entry["received"]) - int(entry["skipped"]),
        counts=BatchCounts(**counts),
        reason=entry.get("reason", ""),
        at=utc(entry["at"]),
    )


def _node_event(entry_id: str, entry: Mapping[str, str]) -> NodeEvent:
    return NodeEvent(
        id=entry_id,
        type=entry["type"],
        node=entry["about"],
        pool=entry.get("pool", ""),
        state=entry["state"],
        was=entry.get("was", ""),
        reason=entry.get("reason", ""),
        at=utc(entry["at"]),
    )


_READERS: Final[dict[str, Callable[[str, Mapping[str, str]], FleetEvent]]] = {
    "batch": _batch_event,
    "node": _node_event,
}
