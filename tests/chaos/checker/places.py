"""Where jobs wait: I31. A job is in one queue at a time, and is claimed by a node of the pool in which it waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.chaos.checker.history import History, Record, Violation

_POOL: Final = "default"


def check_places(history: History) -> Iterator[Violation]:
    """Yield jobs that stood in two queues, and claims by nodes of other pools."""
    for seen in history.waiting:
        yield Violation("I31", seen["job"], f"at {seen['at']:.3f} it waited in {seen['queues']}")
    pool_of = {name: node.get("pool") for name, node in history.redis.get("nodes", {}).items()}
    targets = {said["pool"] for said in history.client if said["do"] == "move" and "pool" in said}
    for record in history.jobs.values():
        if record.spec.get("pin"):
            continue
        for claim, may_be in _claims(history, record, targets):
            if claim["node"] in pool_of and pool_of[claim["node"]] not in may_be:
                story = f"{claim['node']} of pool {pool_of[claim['node']]} claimed it"
                yield Violation("I31", record.job, f"{story}; it waited in {sorted(may_be)}")


def _claims(
    history: History, record: Record, targets: set[str]
) -> Iterator[tuple[dict[str, Any], set[str]]]:
    """Yield each claim with the pools in which the job may have waited then."""
    said = history.asked_of(record)
    last = {str(record.spec.get("pool"))}
    # Of what is made again nobody says where: it waits where the one before it did.
    first = last | targets if "retry_of" in said else {said.get("pool", _POOL)}
    events = history.events_of[record.job]
    moves = [n for n, event in enumerate(events) if event["type"] == "moved"]
    for n, event in enumerate(events):
        if event["type"] == "claimed":
            is_before, is_after = not moves or n < moves[0], bool(moves) and n > moves[-1]
            yield event, last if is_after else first if is_before else first | last | targets
