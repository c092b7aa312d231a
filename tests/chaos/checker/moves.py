"""The event stream: I8 (numbers and edges) and I9 (attempts only rise)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from tests.chaos.checker.history import TERMINAL, History, Violation

#: The published diagram, written down again.
_EDGES: Final = {
    "held": {"queued", "cancelled", "expired", "failed"},
    "queued": {"held", "running", "cancelled", "expired", "failed"},
    "running": {"queued", "succeeded", "failed", "cancelled"},
}
_FIRST: Final = {"held", "queued"}
_PHASES: Final = ("preparing", "ahead", "rendering", "fetching", "storing")


def check_moves(history: History) -> Iterator[Violation]:
    """Yield what is wrong with the stories that the events tell."""
    for job, events in history.events_of.items():
        yield from _numbers(job, events)
        yield from _statuses(history, job, events)
        yield from _attempts(job, events)
        yield from _phases(job, events)
        yield from _record(history, job, events)
    for job in history.jobs.keys() - history.events_of.keys():
        yield Violation("I8", job, "it has a record and no event")


def _numbers(job: str, events: list[dict[str, Any]]) -> Iterator[Violation]:
    numbers = [int(event["n"]) for event in events]
    if numbers != list(range(1, len(numbers) + 1)):
        yield Violation("I8", job, f"its events are numbered {numbers}")


def _statuses(history: History, job: str, events: list[dict[str, Any]]) -> Iterator[Violation]:
    if events[0]["status"] not in _FIRST and not _ended_in_its_batch(history, job, events):
        yield Violation("I8", job, f"its first event says {events[0]['status']}")
    for before, after in pairwise(event["status"] for event in events):
        if before in TERMINAL:
            yield Violation("I8", job, f"an event follows its end: {before}, then {after}")
        elif before != after and after not in _EDGES[before]:
            yield Violation("I8", job, f"no such move: {before} to {after}")


def _ended_in_its_batch(history: History, job: str, events: list[dict[str, Any]]) -> bool:
    """Tell whether a row of a batch was cancelled before it came to a queue: that end is its whole story."""
    record = history.jobs.get(job)
    return [event["status"] for event in events] == ["cancelled"] and bool(record and record.row)


def _attempts(job: str, events: list[dict[str, Any]]) -> Iterator[Violation]:
    claimed: set[str] = set()
    for before, after in pairwise(events):
        step = int(after["attempt"]) - int(before["attempt"])
        if step != (after["type"] == "requeued"):
            story = (
                f"{before['type']} of {before['attempt']}, {after['type']} of {after['attempt']}"
            )
            yield Violation("I9", job, f"attempts go by one, at a requeue: {story}")
    for event in events:
        if event["type"] == "claimed":
            if event["attempt"] in claimed:
                yield Violation("I9", job, f"attempt {event['attempt']} was claimed twice")
            claimed.add(event["attempt"])
        if event["type"] == "succeeded" and event["attempt"] not in claimed:
            yield Violation("I9", job, f"attempt {event['attempt']} was committed, never claimed")


def _phases(job: str, events: list[dict[str, Any]]) -> Iterator[Violation]:
    at = -1
    for event in events:
        if event["type"] in {"claimed", "taken_back"}:
            at = -1  # who comes back looks at everything again
        if event["type"] == "phase":
            phase = _PHASES.index(event["phase"])
            if phase < at:
                yield Violation("I8", job, f"went back from {_PHASES[at]} to {event['phase']}")
            at = phase


def _record(history: History, job: str, events: list[dict[str, Any]]) -> Iterator[Violation]:
    record = history.jobs.get(job)
    if record is None:
        return
    last = events[-1]
    told = (last["status"], int(last["attempt"]), int(last["n"]))
    stands = (record.status, record.attempt, int(record.fields.get("n", 0)))
    if told != stands:
        yield Violation("I8", job, f"the last event says {told}, the record {stands}")
    commits = sum(event["type"] == "succeeded" for event in events)
    if commits > 1:
        yield Violation("I4", job, f"committed {commits} times")
