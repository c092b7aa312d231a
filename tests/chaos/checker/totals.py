"""The fleet's totals: I26. They are what the records and the events of all jobs come to, and never more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.chaos.checker.history import History, Violation
from tests.chaos.checker.owners import rendered_ms


def check_totals(history: History) -> Iterator[Violation]:
    """Yield the totals that drifted."""
    told, recount = _told(history), _recount(history)
    for name in sorted(told.keys() | recount.keys()):
        if told[name] != recount[name]:
            yield Violation(
                "I26", "", f"the totals say {told[name]} {name}, all jobs {recount[name]}"
            )


def _told(history: History) -> Counter[str]:
    """Return the totals of all pools together."""
    found: Counter[str] = Counter()
    for counter, count in history.redis.get("totals", {}).items():
        kind, *rest = counter.split(" ")[1:]
        if kind == "attempt":
            found[f"attempts {rest[-1]}"] += int(count) * (rest[-1] != "uncounted")
        elif kind == "ended":
            found[" ".join([kind, *rest])] += int(count)
        elif kind == "rendered_ms":
            found[kind] += int(count)
        elif rest[-1] != "ms":
            found[f"stages {rest[0]}"] += int(count) * (rest[0] == "queued")
    return +found


def _recount(history: History) -> Counter[str]:
    found: Counter[str] = Counter()
    for record in history.jobs.values():
        if record.is_over:
            why = f" {record.cause}" if record.cause else ""
            found[f"ended {record.status}{why}"] += 1
            found["stages queued"] += record.status == "succeeded"
        found["attempts charged"] += int(record.fields.get("charged", 0))
        found["attempts free"] += int(record.fields.get("free", 0))
        found["rendered_ms"] += rendered_ms(history.events_of[record.job])
    for fields in history.redis.get("batches", {}).values():
        if status := fields.get("rest"):
            why = {"expired": "start_deadline"}.get(status, status)
            found[f"ended {status} {why}"] += int(fields.get("rest_rows", 0))
    return +found
