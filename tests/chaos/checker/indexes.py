"""Counters, indexes and leftovers: I12 and I18."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.chaos.checker.artifacts import place_of
from tests.chaos.checker.history import TERMINAL, History, Violation


def check_indexes(history: History) -> Iterator[Violation]:
    """Yield counts that drifted, and what nobody needs any more."""
    yield from _counts(history)
    yield from _index_entries(history)
    yield from _objects(history)
    yield from _leftovers(history)


def _counts(history: History) -> Iterator[Violation]:
    found: dict[str, Counter[str]] = {}
    for record in history.jobs.values():
        if record.batch and "retried_as" not in record.fields:  # the new one counts in its place
            found.setdefault(record.batch, Counter())[record.status] += 1
    for batch in found.keys() | history.redis.get("batches", {}).keys():
        told = history.redis.get("batches", {}).get(batch, {})
        counts = {name: int(count) for name, count in told.items() if count.lstrip("-").isdigit()}
        statuses = {name: counts.get(name, 0) for name in (*TERMINAL, "held", "queued", "running")}
        recount = {name: found.get(batch, Counter())[name] for name in statuses}
        if rest := told.get("rest"):  # rows that ended with it have no records
            recount[rest] += int(told.get("rest_rows", 0))
        if statuses != recount:
            yield Violation("I12", "", f"batch {batch} says {statuses}, its jobs {recount}")


def _index_entries(history: History) -> Iterator[Violation]:
    redis = history.redis
    entries = [("leases", job, "running") for job in redis.get("leases", ())]
    entries += [("dead", job, "failed") for job in redis.get("dead", ())]
    entries += [("delayed", job, "queued held") for job in redis.get("delayed", ())]
    for queue, waiting in redis.get("queued", {}).items():
        entries += [(f"queued in {queue}", job, "queued") for job in waiting]
    for queue, messages in redis.get("messages", {}).items():
        entries += [(f"messages of {queue}", id_.rpartition(".")[0], "queued") for id_ in messages]
    for index, job, wanted in entries:
        status = history.jobs[job].status if job in history.jobs else "gone"
        if status not in wanted:
            yield Violation("I18", job, f"it stands in {index}, but is {status}")


def _objects(history: History) -> Iterator[Violation]:
    """Objects of overtaken attempts are swept later; any other must be listed."""
    listed = {artifact["key"] for record in history.succeeded() for artifact in record.artifacts}
    for key in history.objects:
        place = place_of(key)
        if place is None or place[2] == "manifest.json" or key in listed:
            continue
        record = history.jobs.get(place[0])
        if record is None:
            yield Violation("I18", place[0], f"{key} belongs to no job")
        elif record.status == "succeeded" and place[1] >= record.attempt:
            yield Violation("I18", record.job, f"{key} is of the attempt that counts, unlisted")


def _leftovers(history: History) -> Iterator[Violation]:
    for path in history.leftovers.get("spool", ()):
        yield Violation("I18", "", f"{path} is left in a spool")
    for node, prompts in history.leftovers.get("queues", {}).items():
        for prompt in prompts:
            yield Violation("I18", "", f"prompt {prompt} is left in the queue of {node}")
