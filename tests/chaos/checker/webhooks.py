"""What webhooks were told: I27. Each end that was asked for is taken by its receiver, verified, under one id, as the record says.

What is told of is judged by the receiver's own journal. Given up may be what was refused too often, or belongs to a
webhook that is disabled.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.checker.history import History, Record, Violation
from tests.chaos.checker.webhook_steps import (
    BEFORE_ENDS,
    check_steps,
    is_given_up,
    is_taken,
    wants,
    when,
)

_OK: Final = range(200, 300)


@dataclass(frozen=True)
class _End:
    """An end that somebody wants to hear of: to which webhook, of which type, when it was (Unix ms)."""

    entry: str
    hook: str
    type: str
    at_ms: int
    says: Mapping[str, Any]


def check_webhooks(history: History) -> Iterator[Violation]:
    """Yield ends that were not told, or otherwise than they were, and what was told without an end."""
    if not history.redis.get("webhooks"):
        return  # nobody can be told
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for got in history.received:
        if "message" in got:
            told[entry_of(got)].append(got)
        else:
            yield Violation("I27", "", f"{got['id']} does not verify: {got.get('why')}")
    wanted = {end.entry: end for end in (*_of_jobs(history), *_of_batches(history))}
    for end in wanted.values():
        yield from _taken(history, end, told[end.entry])
    for entry, messages in told.items():
        if not entry.startswith("event:"):
            yield from _without_end(history, entry, messages, wanted.get(entry))
    yield from check_steps(history, told)
    yield from _ids(history)
    yield from _deliveries(history)


def entry_of(got: Mapping[str, Any]) -> str:
    """Return what a received message is about, as it stood in the outbox."""
    type_, about = got["message"]["type"], got["message"]["data"].get("id", "")
    kind = type_.partition(".")[0]
    return f"event:{type_}:{about}" if type_ in BEFORE_ENDS else f"{kind}:{about}"


def _of_jobs(history: History) -> Iterator[_End]:
    for record in history.jobs.values():
        hook = f"{record.owner}:{record.hook}"
        type_ = f"job.{record.status}"
        if record.hook and record.is_over and wants(history, hook, type_):
            at_ms = int(record.fields.get("ended_ms", 0))
            yield _End(f"job:{record.job}", hook, type_, at_ms, _says(record))


def _of_batches(history: History) -> Iterator[_End]:
    for batch, fields in history.redis.get("batches", {}).items():
        hook = f"{fields.get('owner', '')}:{fields.get('hook', '')}"
        is_over = fields.get("hook") and "ended_ms" in fields
        if is_over and wants(history, hook, "batch.finished"):
            says = {"status": "finished", "owner": fields.get("owner", "")}
            at_ms = int(fields["ended_ms"])
            yield _End(f"batch:{batch}", hook, "batch.finished", at_ms, says)


def _says(record: Record) -> dict[str, Any]:
    return {
        "status": record.status,
        "owner": record.owner,
        "cause": record.cause,
        "batch": record.batch,
        "artifacts": len(record.artifacts),
    }


def _taken(history: History, end: _End, messages: list[dict[str, Any]]) -> Iterator[Violation]:
    about = end.entry.partition(":")[2]
    of_it = [got for got in messages if when(got) == end.at_ms and got["hook"] == end.hook]
    if not is_taken(of_it) and not is_given_up(history, end.hook, end.entry):
        yield Violation("I27", about, f"{end.entry}: {end.type} was not told to {end.hook}")
    if len(ids := {got["id"] for got in of_it}) > 1:
        yield Violation("I27", about, f"{end.entry}: one end was told under {sorted(ids)}")
    for got in of_it:
        data = got["message"]["data"]
        says = {name: data.get(name, "") for name in end.says}
        if (got["message"]["type"], says) != (end.type, dict(end.says)):
            story = f"told was {got['message']['type']} {says}, it is {end.type} {dict(end.says)}"
            yield Violation("I27", about, f"{end.entry}: {story}")


def _without_end(
    history: History, entry: str, messages: list[dict[str, Any]], end: _End | None
) -> Iterator[Violation]:
    about = entry.partition(":")[2]
    finished = Counter(
        f"batch:{event['about']}" for event in history.fleet_events if event["type"] == "finished"
    )
    if end is None:
        yield Violation("I27", about, f"{entry}: told, though it has not ended or nobody asks")
        return
    if strangers := {got["hook"] for got in messages} - {end.hook}:
        yield Violation("I27", about, f"{entry}: told to {sorted(strangers)}, not to {end.hook}")
    ends = len({when(got) for got in messages})
    if ends > max(1, finished[entry]):  # a batch ends anew when a row of it was made again
        yield Violation("I27", about, f"{entry}: {ends} ends were told")


def _ids(history: History) -> Iterator[Violation]:
    """A receiver knows by the id what it has heard before: that is one message, and no other."""
    said: dict[str, Any] = {}
    for got in history.received:
        if said.setdefault(got["id"], got.get("message")) != got.get("message"):
            yield Violation("I27", "", f"two messages have the id {got['id']}")


def _deliveries(history: History) -> Iterator[Violation]:
    taken = {got["id"] for got in history.received if got["answer"] in _OK}
    for hook, deliveries in history.redis.get("deliveries", {}).items():
        for id_, one in deliveries.items():
            about = one["subject"].partition(":")[2]
            if one["state"] == "waiting":
                yield Violation("I27", about, f"{id_} still waits to be told to {hook}")
            if one["state"] == "delivered" and id_ not in taken:
                yield Violation("I27", about, f"{id_} counts as told, {hook} has not taken it")
