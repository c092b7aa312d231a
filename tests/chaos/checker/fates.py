"""What became of each submission: I1, I2, I3, I11, I14, P8 for cancels and P9 for errors."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.chaos.checker.history import TERMINAL, History, Record, Violation, whose

CHARGED_LIMIT: Final = 3
FREE_LIMIT: Final = 10
FELLED_LIMIT: Final = 3
FELLED_TIMES: Final = 5

#: Causes after which the node was gone, or its worker.
_FELLING: Final = frozenset({"prompt_lost", "node_fault", "lease_lost", "poison"})

#: The API's answer about a job that its request has made.
_MADE: Final = 201

#: How much later than its answer a cancel's effect may be stamped, by another clock, s.
_CLOCKS_APART_S: Final = 1.0

#: The last hexadecimal digits of the id of a row's job: which row it is.
_ROW_DIGITS: Final = 8


def check_fates(history: History) -> Iterator[Violation]:
    """Yield what is wrong with how jobs came to be and how they ended."""
    yield from _lost(history)
    yield from _raised(history)
    yield from _keys(history)
    yield from _refused_keys(history)
    for record in history.jobs.values():
        yield from _invented(history, record)
        yield from _stuck(record)
        yield from _charges(history, record)
    yield from _cancels(history)


def _lost(history: History) -> Iterator[Violation]:
    for said in history.submissions:
        is_lost = said["answer"] == "accepted" and said["job"] not in history.jobs
        if is_lost and not _ended_with_batch(history, said):
            yield Violation("I1", said["job"], f"accepted under key {said['key']}, has no record")


def _ended_with_batch(history: History, said: Mapping[str, Any]) -> bool:
    """Whether it is a row that ended with its batch, before it had a record; I25 has each in the results."""
    batch = history.redis.get("batches", {}).get(said.get("batch", ""), {})
    row = int(said["job"][-_ROW_DIGITS:], 16)
    return "rest" in batch and int(batch.get("fed", 0)) < row <= int(batch["received"])


def _raised(history: History) -> Iterator[Violation]:
    """The library raises errors of its own only: others say nothing that a caller can act on."""
    job_of = {record.key: record.job for record in history.jobs.values()}
    for said in history.submissions:
        if said["answer"] == "raised":
            yield Violation("P9", job_of.get(said["key"], ""), f"submitting raised {said['why']}")


def _keys(history: History) -> Iterator[Violation]:
    """One key of one owner is one job, which is its owner's, whoever answers; the API says once that it is new."""
    made, told = defaultdict(set), defaultdict(set)
    news: Counter[tuple[str, str]] = Counter()
    for record in history.jobs.values():
        made[record.owner, record.key].add(record.job)
    for said in history.submissions:
        if said["answer"] == "accepted":
            told[whose(said)].add(said["job"])
            news[whose(said)] += said.get("status") == _MADE
            yield from _of_another(history, said)
    for (_, key), jobs in made.items():
        if len(jobs) > 1:
            yield Violation("I14", min(jobs), f"key {key} made {len(jobs)} jobs")
    for whom, jobs in told.items():
        if len(jobs) > 1:
            yield Violation("I14", min(jobs), f"key {whom[1]} was answered with {len(jobs)} jobs")
        elif news[whom] > 1:
            yield Violation(
                "I14", min(jobs), f"key {whom[1]} was answered {news[whom]} times as new"
            )


def _of_another(history: History, said: dict[str, Any]) -> Iterator[Violation]:
    record = history.jobs.get(said["job"])
    if record and record.owner != said.get("owner", record.owner):
        story = (
            f"key {said['key']} of {said['owner']!r} was answered with a job of {record.owner!r}"
        )
        yield Violation("I14", record.job, story)


def _refused_keys(history: History) -> Iterator[Violation]:
    """No client of ours asks for two things under one key."""
    for said in history.submissions:
        if said["answer"] == "key reused":
            story = f"the same request under key {said['key']} counts as another one"
            yield Violation("I14", said["job"], story)


def _invented(history: History, record: Record) -> Iterator[Violation]:
    if not history.asked_of(record):
        yield Violation("I3", record.job, "nobody asked for this job")


def _stuck(record: Record) -> Iterator[Violation]:
    if record.status not in TERMINAL and record.status != "held":
        where = f"attempt {record.attempt}, phase {record.fields.get('phase', '-')}"
        yield Violation("I2", record.job, f"still {record.status} after the quiet time, {where}")


def _charges(history: History, record: Record) -> Iterator[Violation]:
    told = sum(1 for story in record.stories if story["charged"])
    if told != record.charged:
        yield Violation("I11", record.job, f"{record.charged} charged, but {told} attempts say so")
    if record.charged > CHARGED_LIMIT or record.free > FREE_LIMIT:
        said = f"{record.charged} charged and {record.free} free attempts"
        yield Violation("I11", record.job, f"{said}; the limits are {CHARGED_LIMIT}, {FREE_LIMIT}")
    is_good = history.expected_of(record).get("end") == "succeeded"
    if is_good and record.charged:
        yield Violation("I11", record.job, f"charged {record.charged} times for others' faults")
    if is_good and record.status == "failed" and record.cause != "poison":
        yield Violation("I11", record.job, f"failed as {record.cause} for others' faults")
    if history.expected_of(record).get("end") == "failed" and record.status == "succeeded":
        yield Violation("I11", record.job, "succeeded, although nobody could make it so")
    felled = [told["node"] for told in record.stories if told["error"]["cause"] in _FELLING]
    is_felled = len({*felled}) >= FELLED_LIMIT or len(felled) >= FELLED_TIMES
    if record.cause == "poison" and record.free < FREE_LIMIT - 1 and not is_felled:
        story = f"poison after {record.free} free attempts and {len({*felled})} nodes felled"
        yield Violation("I11", record.job, story)


def _cancels(history: History) -> Iterator[Violation]:
    for said in history.client:
        if said["do"] != "cancel" or said["job"] not in history.jobs:
            continue
        record = history.jobs[said["job"]]
        if said["answer"] == "cancelled" and record.status != "cancelled":
            yield Violation("P8", record.job, f"told cancelled, but it is {record.status}")
        if said["answer"] == "requested" and record.status == "expired":
            yield Violation("P8", record.job, "told that it runs, but it expired")
        if said["answer"] == "ended" and not _ended_by(history, record, float(said["at"])):
            yield Violation("P8", record.job, "told ended, but it had not")
    for job, events in history.events_of.items():
        types = [event["type"] for event in events]
        if "succeeded" in types and "cancel_requested" in types[: types.index("succeeded")]:
            yield Violation("P8", job, "committed after its cancel was accepted")


def _ended_by(history: History, record: Record, at: float) -> bool:
    last_words = (event for event in history.events_of[record.job] if event["status"] in TERMINAL)
    return any(int(event["at"]) / 1000 <= at + _CLOCKS_APART_S for event in last_words)
