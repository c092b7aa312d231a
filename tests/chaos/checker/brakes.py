"""Brakes: I33. A batch is held by its brake with the failure that is one too many, not before, and its rows begin no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.chaos.checker.history import History, Violation

#: What is no row's own fault, as the documentation lists it.
_OF_OTHERS: Final = frozenset(
    {
        *("poison", "fleet_fault", "not_resumed", "lease_lost", "worker_died", "node_fault"),
        *("node_left", "storage_refused", "storage_fault", "delivery_failed"),
    }
)
#: What ends a batch, or keeps it back: its brake has nothing more to do.
_NOT_FREE: Final = frozenset({"braked", "held", "cancelled", "finished"})
#: Upkeep holds back what waits of a batch within some sweeps, ms.
_HELD_WITHIN_MS: Final = 6_000


def check_brakes(history: History) -> Iterator[Violation]:
    """Yield batches that were braked too late, too early or not at all."""
    for said in history.client:
        if said["do"] == "open" and "max_failed" in said:
            yield from _one(history, said["batch"], int(said["max_failed"]))


def _one(history: History, batch: str, most: int) -> Iterator[Violation]:
    failed, is_free, braked_ms, is_due = 0, True, 0, False
    for event in _events(history, batch):
        what, at_ms = event["type"], int(event["at"])
        if is_due and what != "braked":
            yield Violation("I33", batch, f"{failed} of {most} rows have failed, then came: {what}")
        is_due = False
        if "kind" in event:
            if what == "braked" and failed < most:
                yield Violation("I33", batch, f"braked after {failed} of {most} rows had failed")
            if what == "braked":
                braked_ms = at_ms
            if what == "released":
                failed, braked_ms, is_free = 0, 0, True
            is_free = is_free and what not in _NOT_FREE
        elif what == "failed" and event.get("cause") not in _OF_OTHERS:
            failed += 1
            is_due = is_free and failed >= most
        elif what == "claimed" and braked_ms and at_ms > braked_ms + _HELD_WITHIN_MS:
            yield from _late(history, event, braked_ms)


def _late(history: History, claim: dict[str, Any], braked_ms: int) -> Iterator[Violation]:
    if not _was_hurt(history, braked_ms, int(claim["at"])):
        story = f"it began {int(claim['at']) - braked_ms} ms after its batch's brake"
        yield Violation("I33", claim["job"], story)


def _events(history: History, batch: str) -> list[dict[str, Any]]:
    """Return what the stream tells of a batch and of its rows, in its order."""
    of_batch = [event for event in history.fleet_events if event.get("about") == batch]
    of_rows = [event for event in history.events if event["job"][:-8] == batch[:-8]]
    return sorted((*of_batch, *of_rows), key=_place)


def _was_hurt(history: History, since_ms: int, until_ms: int) -> bool:
    return any(
        fault["from"] * 1000 < until_ms and fault["until"] * 1000 > since_ms
        for fault in history.faults
    )


def _place(event: dict[str, Any]) -> tuple[int, int]:
    ms, _, number = event["id"].partition("-")
    return int(ms), int(number)
