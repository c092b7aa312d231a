"""What records say, packed or not: I23. It is what was asked for, what the events told and what the manifest says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from tests.chaos.checker.history import History, Record, Violation

#: The first version of manifests that has every field of its record.
_HAS_ALL: Final = 2
#: A record waits so long to be packed, beyond its time, ms: upkeep packs some hundred at once.
_PACKED_WITHIN_MS: Final = 60_000
#: The published tiers, written down again, and their priorities on the broker.
_PRIORITIES: Final = {"rush": "0", "default": "3", "batch": "6", "idle": "9"}
_TIMES: Final = {"created_at": "created_ms", "queued_at": "queued_ms", "started_at": "started_ms"}


def check_records(history: History) -> Iterator[Violation]:
    """Yield records that are torn, there twice, not packed in time, or say something else."""
    for job in history.redis.get("twice", ()):
        yield Violation("I23", job, "its row is packed, and has a record")
    for what in history.redis.get("torn", ()):
        yield Violation("I23", "", f"packed, and torn: {what}")
    yield from _late(history)
    for record in history.jobs.values():
        yield from _as_asked(history, record)
        yield from _as_told(history, record)
        if record.status == "succeeded":
            yield from _as_in_the_manifest(history, record)


def _late(history: History) -> Iterator[Violation]:
    patience_ms = 1000 * history.leftovers.get("pack_ended_s", 0) + _PACKED_WITHIN_MS
    now_ms = int(history.redis.get("now_ms", 0))
    for name in ("unpacked", "unpacked_rows"):
        for entry, ended_ms in history.redis.get(name, {}).items():
            if ended_ms + patience_ms < now_ms:
                story = f"it waits to be packed, {now_ms - ended_ms:.0f} ms after its end"
                yield Violation("I23", entry, story)


def _as_asked(history: History, record: Record) -> Iterator[Violation]:
    asked = history.asked_of(record)
    is_moved = any(event["type"] == "moved" for event in history.events_of[record.job])
    says = {
        "owner": record.owner,
        "hook": record.hook,
        "tier": record.spec.get("tier"),
        "pool": record.spec.get("pool"),
    }
    priority = record.fields.get("priority", _PRIORITIES.get(str(says["tier"])))
    if priority != _PRIORITIES.get(str(says["tier"])):
        story = f"its tier is {says['tier']}, its priority {priority}"
        yield Violation("I23", record.job, story)
    for name in says.keys() & asked.keys() - ({"tier", "pool"} if is_moved else set()):
        if says[name] != asked[name]:
            yield Violation(
                "I23", record.job, f"its {name} is {says[name]}, asked for {asked[name]}"
            )


def _as_told(history: History, record: Record) -> Iterator[Violation]:
    """The last event of a job is its end, and tells when, where and why."""
    events = history.events_of[record.job]
    if not record.is_over or not events or events[-1]["status"] != record.status:
        return  # which is another violation, or none
    last, fields = events[-1], record.fields
    told = {
        "ended_ms": last["at"],
        "cause": last.get("cause", ""),
        "node": last["node"],
    }
    for name, value in told.items():
        if fields.get(name, "") != value:
            story = f"its record says {name} {fields.get(name)!r}, the event of its end {value!r}"
            yield Violation("I23", record.job, story)
    again = {int(event["attempt"]) - 1 for event in events if event["type"] == "requeued"}
    stories = {story["number"] for story in record.stories}
    if not again <= stories:
        yield Violation(
            "I23", record.job, f"requeued after {again}, it tells of attempts {stories}"
        )


def _as_in_the_manifest(history: History, record: Record) -> Iterator[Violation]:
    manifest = _manifest(history, record)
    if manifest.get("version", 1) < _HAS_ALL or "tier" not in manifest:
        return
    says = _known(record)
    for name, value in says.items():
        told = manifest.get(name)
        if name in _TIMES and told:
            told = round(datetime.fromisoformat(told).timestamp() * 1000)
        if (told or None) != (value or None):
            story = f"its record says {name} {value!r}, its manifest {told!r}"
            yield Violation("I23", record.job, story)


def _known(record: Record) -> dict[str, Any]:
    """Return what a record and its manifest must both say."""
    fields, spec = record.fields, record.spec
    of_spec = ("tier", "pool", "pin", "template", "params", "inputs", "metadata", "retry_of")
    return {
        **{name: spec.get(name) for name in (*of_spec, "extra_data", "run_within_s")},
        **{name: fields.get(name) for name in ("batch", "queue", "shape", "node", "prompt_id")},
        **{name: int(fields.get(field, 0)) for name, field in _TIMES.items()},
        "owner": record.owner,
        "idempotency_key": spec.get("key"),
        "row": record.row,
        "attempt": record.attempt,
        "charged_attempts": record.charged,
        "free_attempts": record.free,
    }


def _manifest(history: History, record: Record) -> dict[str, Any]:
    end = f"jobs/{record.job}/{record.attempt}/manifest.json"
    if not record.artifacts:
        return {}
    prefix = record.artifacts[0]["key"].partition("jobs/")[0]
    found: dict[str, Any] = history.objects.get(prefix + end, {}).get("json", {})
    return found
