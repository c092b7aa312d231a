"""The outbox: I24. Each end that somebody wants to hear of waits there to be told, or is told, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from tests.chaos.checker.history import History, Violation
from tests.chaos.checker.webhooks import entry_of


def check_outbox(history: History) -> Iterator[Violation]:
    """Yield ends that nobody will tell, and what is told without need or twice."""
    waiting = history.redis.get("outbox", {})
    said = Counter(
        (told["entry"], told["answer"]) for told in history.client if told["do"] == "tell"
    )
    ends = {
        f"job:{record.job}": (record.fields, record.is_over and bool(record.hook))
        for record in history.jobs.values()
    } | {
        f"batch:{batch}": (fields, bool(fields.get("hook")) and "ended_ms" in fields)
        for batch, fields in history.redis.get("batches", {}).items()
    }
    for entry in _taken_by_senders(history):
        said[entry, "taken"] += 1
    for entry, (fields, is_wanted) in ends.items():
        yield from _one(entry, fields, is_wanted=is_wanted, waits=entry in waiting, said=said)
    for entry in sorted(waiting.keys() - ends.keys()):
        if not entry.startswith("event:"):  # which tells no end
            yield Violation("I24", "", f"{entry} stands in the outbox, but has no record")
    yield from _told_twice(history, said)
    yield from _hooks_of_batches(history)


def _taken_by_senders(history: History) -> Iterator[str]:
    """Yield what senders have taken, where there are any: it is a delivery now, or was received."""
    for deliveries in history.redis.get("deliveries", {}).values():
        yield from (one["subject"] for one in deliveries.values())
    yield from (entry_of(got) for got in history.received if "message" in got)


def _one(
    entry: str,
    fields: Mapping[str, str],
    *,
    is_wanted: bool,
    waits: bool,
    said: Mapping[tuple[str, str], int],
) -> Iterator[Violation]:
    is_told = "told_ms" in fields
    stories = {
        "its end is wanted, and neither told nor to be told": is_wanted and not (waits or is_told),
        "its end is told, and to be told again": is_wanted and waits and is_told,
        "it stands in the outbox, though it has not ended or nobody asks": waits and not is_wanted,
        "its record says that it is told, but nobody took it": is_told and not said[entry, "taken"],
        "it was told, but its record does not say so": (
            is_wanted and bool(said[entry, "done"]) and not (is_told or waits)
        ),
    }
    for story in (story for story, is_so in stories.items() if is_so):
        yield Violation("I24", entry.partition(":")[2], f"{entry}: {story}")


def _told_twice(history: History, said: Mapping[tuple[str, str], int]) -> Iterator[Violation]:
    ended = Counter(
        f"batch:{event['about']}" for event in history.fleet_events if event["type"] == "finished"
    )  # it is told anew when a row of it was made again
    for (entry, answer), times in said.items():
        if answer == "done" and times > max(1, ended[entry]):
            yield Violation("I24", entry.partition(":")[2], f"{entry} was told {times} times")


def _hooks_of_batches(history: History) -> Iterator[Violation]:
    batches = history.redis.get("batches", {})
    for said in history.client:
        if said["do"] == "open" and said["batch"] in batches:
            hook = batches[said["batch"]].get("hook", "")
            if hook != said["hook"]:
                story = f"its hook is {hook!r}, asked for was {said['hook']!r}"
                yield Violation("I24", said["batch"], story)
