"""What owners have and have used: I22, recounted from records and from the events of each attempt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from tests.chaos.checker.history import TERMINAL, History, Violation

_COUNTED: Final = {"held": "waiting", "queued": "waiting", "running": "running"}


def check_owners(history: History) -> Iterator[Violation]:
    """Yield the counts that drifted."""
    recount: dict[str, Counter[str]] = {}
    for record in history.jobs.values():
        if not record.owner:
            continue
        count = recount.setdefault(record.owner, Counter())
        count["gpu_ms"] += rendered_ms(history.events_of[record.job])
        if record.status in _COUNTED:
            count[_COUNTED[record.status]] += 1
    for fields in history.redis.get("batches", {}).values():
        if owner := fields.get("owner"):
            recount.setdefault(owner, Counter())["waiting"] += int(fields.get("waiting", 0))
    told = history.redis.get("owner", {})
    for owner in sorted(recount.keys() | told.keys()):
        for name in ("waiting", "running", "gpu_ms"):
            says, is_ = int(told.get(owner, {}).get(name, 0)), recount.get(owner, Counter())[name]
            if says != is_:
                yield Violation("I22", "", f"owner {owner} counts {says} {name}, its jobs {is_}")


def rendered_ms(events: list[dict[str, Any]]) -> int:
    """Return how long the attempts of a job have rendered: each from that phase to the next, or to its end."""
    total, entered = 0, dict[str, int]()
    for event in events:
        at = int(event["at"])
        if event["type"] == "phase":
            entered.setdefault(event["phase"], at)  # who takes a job back goes through phases again
        elif event["type"] == "requeued" or event["status"] in TERMINAL:
            if "rendering" in entered:
                total += max(0, entered.get("fetching", at) - entered["rendering"])
            entered.clear()
    return total
