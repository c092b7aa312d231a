"""What webhooks were told before an end: I27. Each start and each seal that was asked for, once; tenths as far as they came."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from tests.chaos.checker.history import History, Violation

#: What is told that is no end.
STARTED, SEALED, PROGRESS = "job.started", "batch.sealed", "batch.progress"
BEFORE_ENDS: Final = (STARTED, SEALED, PROGRESS)

_OK: Final = range(200, 300)
#: States of a delivery that nobody tries any more although its receiver has not taken it.
_GIVEN_UP: Final = frozenset({"failed", "dropped"})

#: Received messages by their entry in the outbox.
Told = Mapping[str, list[dict[str, Any]]]


class _Step(NamedTuple):
    entry: str
    hook: str
    at_ms: int


def check_steps(history: History, told: Told) -> Iterator[Violation]:
    """Yield steps that were not told, or otherwise than they were, and what was told without one."""
    steps = {step.entry: step for step in (*_starts(history), *_seals(history))}
    for entry, step in steps.items():
        if not is_taken(told.get(entry, ())) and not is_given_up(history, step.hook, entry):
            yield Violation("I27", _about(entry), f"{entry} was not told to {step.hook}")
    for entry, messages in told.items():
        if entry.startswith(f"event:{PROGRESS}:"):
            yield from _tenths(history, entry, messages)
        elif entry.startswith("event:"):
            yield from _once(entry, messages, steps.get(entry))


def wants(history: History, hook: str, type_: str) -> bool:
    """Tell whether there is a webhook `owner:name` that is to be told of events of a type."""
    known = history.redis["webhooks"].get(hook)
    return known is not None and type_ in json.loads(known).get("events", ())


def is_taken(messages: Any) -> bool:
    """Tell whether a receiver took one of the messages."""
    return any(got["answer"] in _OK for got in messages)


def is_given_up(history: History, hook: str, entry: str) -> bool:
    """Tell whether nobody tries any more to tell a webhook of what stood so in the outbox."""
    deliveries = history.redis.get("deliveries", {}).get(hook, {}).values()
    return any(one["subject"] == entry and one["state"] in _GIVEN_UP for one in deliveries)


def when(got: Mapping[str, Any]) -> int:
    """Return when what a message tells happened, Unix ms."""
    return round(datetime.fromisoformat(got["message"]["timestamp"]).timestamp() * 1000)


def _starts(history: History) -> Iterator[_Step]:
    for record in history.jobs.values():
        hook = f"{record.owner}:{record.hook}"
        claims = [event for event in history.events_of[record.job] if event["type"] == "claimed"]
        if record.hook and claims and wants(history, hook, STARTED):
            yield _Step(f"event:{STARTED}:{record.job}", hook, int(claims[0]["at"]))


def _seals(history: History) -> Iterator[_Step]:
    for batch, fields in history.redis.get("batches", {}).items():
        hook = f"{fields.get('owner', '')}:{fields.get('hook', '')}"
        if fields.get("hook") and "sealed_ms" in fields and wants(history, hook, SEALED):
            yield _Step(f"event:{SEALED}:{batch}", hook, int(fields["sealed_ms"]))


def _once(entry: str, messages: list[dict[str, Any]], step: _Step | None) -> Iterator[Violation]:
    told = {(got["id"], got["hook"], when(got)) for got in messages}
    if step is None:
        yield Violation("I27", _about(entry), f"{entry}: told, though it was not or nobody asks")
    elif len(told) > 1 or {place[1:] for place in told} != {(step.hook, step.at_ms)}:
        story = f"told as {sorted(told)}, it was to be told to {step.hook}, of {step.at_ms}"
        yield Violation("I27", _about(entry), f"{entry}: {story}")


def _tenths(history: History, entry: str, messages: list[dict[str, Any]]) -> Iterator[Violation]:
    fields = history.redis.get("batches", {}).get(_about(entry), {})
    hook = f"{fields.get('owner', '')}:{fields.get('hook', '')}"
    if {got["hook"] for got in messages} != {hook} or not wants(history, hook, PROGRESS):
        yield Violation("I27", _about(entry), f"{entry}: told, though nobody asks")
    tenths = {got["id"]: got["message"]["data"].get("progress", 0) for got in messages}
    if len({*tenths.values()}) != len(tenths) or not all(0 < each < 1 for each in tenths.values()):
        yield Violation("I27", _about(entry), f"{entry}: told as {tenths}")


def _about(entry: str) -> str:
    return entry.rpartition(":")[2]
