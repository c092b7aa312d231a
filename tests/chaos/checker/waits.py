"""Who waits, and how long: I20, and leases that are lost without a cause (I11)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.chaos.checker.history import TERMINAL, History, Violation
from tests.chaos.checker.wishes import rests

#: An idle fleet takes a job within milliseconds; a lost message is missed only after 3 s.
_IDLE_MS: Final = 2_500
#: So long after a fault it still explains what happens, ms.
_AFTERMATH_MS: Final = 15_000


def check_waits(history: History) -> Iterator[Violation]:
    """Yield jobs that waited, or were taken from their worker, though nothing was wrong."""
    yield from _starved_tiers(history)
    yield from _idle_fleet(history)
    yield from _lost_leases(history)


def _starved_tiers(history: History) -> Iterator[Violation]:
    asked, ended = set(), set()
    for record in history.jobs.values():
        asked.add(record.spec.get("tier"))
        if record.status in TERMINAL:
            ended.add(record.spec.get("tier"))
    for tier in asked - ended:
        yield Violation("I20", "", f"not one job of tier {tier} came to an end")


def _idle_fleet(history: History) -> Iterator[Violation]:
    """A job that is alone on a fleet where nothing is wrong begins at once."""
    open_jobs: set[str] = set()
    alone: dict[str, int] = {}
    for event in history.events:
        job, at = event["job"], int(event["at"])
        if event["type"] == "submitted":
            if not open_jobs:
                alone[job] = at
            open_jobs.add(job)
        elif event["type"] == "claimed" and job in alone:
            waited = at - alone.pop(job)
            if waited > _IDLE_MS and not _was_hurt(history, at - waited, at):
                yield Violation("I20", job, f"it waited {waited} ms for an idle fleet")
        if event["status"] in TERMINAL:
            open_jobs.discard(job)


def _lost_leases(history: History) -> Iterator[Violation]:
    """Where nobody was hurt at all, nobody loses a lease."""
    for job, events in history.events_of.items():
        for event in events:
            is_lost = event["type"] == "requeued" and event.get("cause") == "lease_lost"
            if is_lost and not history.faults:
                yield Violation("I11", job, f"attempt {_before(event)} lost its lease to no fault")


def _was_hurt(history: History, from_ms: int, until_ms: int) -> bool:
    is_hurt = any(
        1000 * fault["from"] <= until_ms and 1000 * fault["until"] + _AFTERMATH_MS >= from_ms
        for fault in history.faults
    )
    return is_hurt or any(  # a fleet that is to rest is not idle
        rest.from_ms <= until_ms and rest.until_ms + _IDLE_MS >= from_ms for rest in rests(history)
    )


def _before(event: dict[str, Any]) -> int:
    return int(event["attempt"]) - 1
