"""The lists of jobs: I21. Each single job stands in its owner's, what ended badly in that of its end, nothing else.

Rows that ended with their batch, before they had a record, are one entry: their batch, in the list of such batches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.checker.history import History, Violation

_ENDED_BADLY = ("failed", "cancelled", "expired")


def check_lists(history: History) -> Iterator[Violation]:
    """Yield jobs that lack in a list, and entries of lists that are of no job."""
    yield from _by_owner(history)
    yield from _by_end(history)
    yield from _batches_by_end(history)


def _by_owner(history: History) -> Iterator[Violation]:
    wanted: dict[str, set[str]] = defaultdict(set)
    for record in history.jobs.values():
        if not record.batch:  # the jobs of a batch are listed by it
            wanted[record.owner].add(record.job)
    listed = {owner: set(jobs) for owner, jobs in history.redis.get("lists", {}).items()}
    for owner in sorted(wanted.keys() | listed.keys()):
        name = f"the jobs of owner {owner!r}"
        yield from _compared(name, wanted[owner], listed.get(owner, set()))
    told = set(history.redis.get("owners", ()))
    if told != (having := {owner for owner, jobs in wanted.items() if owner and jobs}):
        yield Violation("I21", "", f"owners {sorted(told)} are listed, {sorted(having)} have jobs")


def _by_end(history: History) -> Iterator[Violation]:
    for status in _ENDED_BADLY:
        listed = history.redis.get("ended", {}).get(status, {})
        ended = {record.job for record in history.jobs.values() if record.status == status}
        yield from _compared(f"what was {status}", ended, set(listed))
        for job in ended & listed.keys():
            ended_ms = int(history.jobs[job].fields.get("ended_ms", 0))
            if ended_ms != int(listed[job]):
                story = f"it is listed as {status} at {listed[job]:.0f}, it ended at {ended_ms}"
                yield Violation("I21", job, story)


def _batches_by_end(history: History) -> Iterator[Violation]:
    """The entry stays when each of these rows has got a record after all: it then means none of them."""
    batches = history.redis.get("batches", {})
    for status in _ENDED_BADLY:
        listed = history.redis.get("ended_batches", {}).get(status, {})
        ended = {batch: told for batch, told in batches.items() if told.get("rest") == status}
        for batch in sorted(ended):
            if batch not in listed and int(ended[batch].get("rest_rows", 0)):
                rows = ended[batch]["rest_rows"]
                story = (
                    f"{rows} rows of batch {batch} were {status} without a record; no list has that"
                )
                yield Violation("I21", "", story)
        for batch in sorted(listed):
            ended_ms = int(ended.get(batch, {}).get("rest_ms", 0))
            if ended_ms != int(listed[batch]):
                story = f"batch {batch} is listed as {status} at {listed[batch]:.0f}, its rows at {ended_ms}"
                yield Violation("I21", "", story)


def _compared(name: str, wanted: set[str], listed: set[str]) -> Iterator[Violation]:
    for job in sorted(wanted - listed):
        yield Violation("I21", job, f"it lacks in the list of {name}")
    for job in sorted(listed - wanted):
        yield Violation("I21", job, f"it stands in the list of {name}, where it does not belong")
