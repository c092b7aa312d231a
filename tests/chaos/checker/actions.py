"""Actions on many jobs: I30. One that was accepted is carried out once on each job that it means, or is told as stopped; its counts are exact.

The jobs of an action here are an owner's, or a batch's, of whom nothing else is asked meanwhile.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from tests.chaos.checker.history import TERMINAL, History, Violation

#: What the stream tells of a job with which it was done.
_DONE: Final = {
    "cancel": frozenset({"cancelled", "cancel_requested"}),
    "hold": frozenset({"held"}),
    "release": frozenset({"released"}),
}
_ENDED_BADLY: Final = TERMINAL - {"succeeded"}
#: How far the clocks of client and Redis may be apart, ms.
_APART_MS: Final = 500
_COUNTS: Final = ("matched", "done", "refused")


def check_actions(history: History) -> Iterator[Violation]:
    """Yield actions that are two, that never ended, or did something else than they say."""
    stopped = {said["id"] for said in history.client if said["do"] == "stop"}
    for action_id, action in _actions(history):
        yield from _one(history, action_id, action, is_stopped=action_id in stopped)
    for action_id in history.redis.get("actions_waiting", ()):
        yield Violation("I30", "", f"action {action_id} still waits to be carried out")
    yield from _twice(history)


@dataclass(frozen=True)
class _Action:
    """One action, from when it was first asked for until it was seen to have ended, Unix ms."""

    history: History
    verb: str
    about: str
    from_ms: float
    until_ms: float
    told: dict[str, Any]

    @cached_property
    def jobs(self) -> list[str]:
        """Those that it means: nobody hands in more of them later, but what is made again."""
        field, _, value = self.about.partition(":")
        return [
            said["job"]
            for said in self.history.submissions
            if said["answer"] == "accepted"
            and said.get(field) == value
            and "retry_of" not in said
            and said["at"] * 1000 <= self.until_ms
        ]

    @cached_property
    def done(self) -> Counter[str]:
        """With which of them it was done, and how often."""
        if self.verb == "retry":
            made = Counter(str(r.spec.get("retry_of")) for r in self.history.jobs.values())
            return Counter({job: made[job] for job in self.jobs if made[job]})
        events = ((job, event) for job in self.jobs for event in self.within(job))
        return Counter(job for job, event in events if event["type"] in _DONE[self.verb])

    def within(self, job: str) -> Iterator[dict[str, Any]]:
        """Yield the events of a job in its time."""
        return (
            event
            for event in self.history.events_of[job]
            if self.from_ms - _APART_MS <= int(event["at"]) <= self.until_ms + _APART_MS
        )

    def before(self, job: str, at_ms: float) -> list[str]:
        """Return what happened to a job before a time."""
        return [e["type"] for e in self.history.events_of[job] if int(e["at"]) < at_ms]


def _actions(history: History) -> Iterator[tuple[str, _Action]]:
    ends = {said["id"]: said for said in history.client if said["do"] == "acted"}
    first: dict[str, dict[str, Any]] = {}
    for said in history.client:
        if said["do"] == "act":
            first.setdefault(said["key"], said)
    seen = set()
    for said in history.client:
        if said["do"] == "act" and said["answer"] == "accepted" and said["id"] not in seen:
            seen.add(said["id"])
            asked, told = first[said["key"]], ends.get(said["id"], {})
            until = 1000 * told["at"] if told.get("state") else math.inf
            yield (
                said["id"],
                _Action(
                    *(history, said["action"], said["about"]), 1000 * asked["asked_at"], until, told
                ),
            )


def _one(
    history: History, action_id: str, action: _Action, *, is_stopped: bool
) -> Iterator[Violation]:
    name = f"action {action_id} ({action.verb} {action.about})"
    state = action.told.get("state")
    if state not in {"done", "cancelled"}:
        yield Violation("I30", "", f"{name} is {state}: {action.told.get('error')}")
        return
    if state == "cancelled" and not is_stopped:
        yield Violation("I30", "", f"{name} counts as stopped, and nobody stopped it")
    counts = {count: int(action.told[count]) for count in _COUNTS}
    record = history.redis.get("actions", {}).get(action_id)
    if record and (kept := {count: int(record.get(count, 0)) for count in _COUNTS}) != counts:
        yield Violation("I30", "", f"{name} told {counts}, and says {kept} now")
    # What was cancelled while it ran may have failed before it could be stopped.
    may_be_more = counts["refused"] if action.verb == "cancel" else 0
    changed = len(action.done)
    is_exact = counts["done"] <= changed <= counts["done"] + may_be_more
    if not is_exact or counts["matched"] != counts["done"] + counts["refused"]:
        yield Violation("I30", "", f"{name} says {counts}, and {changed} jobs were changed")
    for job, times in action.done.items():
        if times > 1 and action.verb != "cancel":
            yield Violation("I30", job, f"{name} was done {times} times with it")
    if state == "done":
        yield from _left_out(action, name)


def _left_out(action: _Action, name: str) -> Iterator[Violation]:
    """What an action that looked at all jobs has passed over, though it fitted all the time."""
    for job in action.jobs:
        if job in action.done:
            continue
        earlier = action.before(job, action.from_ms - _APART_MS)
        by_its_end = action.before(job, action.until_ms)
        is_over = bool(TERMINAL.intersection(by_its_end))
        fitted = {
            "cancel": not is_over,
            "hold": not (is_over or "claimed" in by_its_end),
            "release": bool(earlier) and earlier[-1] == "held",
            "retry": bool(_ENDED_BADLY.intersection(earlier)),
        }
        if fitted[action.verb]:
            yield Violation("I30", job, f"{name} has passed it over; it was {by_its_end[-1:]}")


def _twice(history: History) -> Iterator[Violation]:
    ids = defaultdict(set)
    for said in history.client:
        if said["do"] == "act" and said["answer"] == "accepted":
            ids[said["key"]].add(said["id"])
    for key, made in ids.items():
        if len(made) > 1:
            yield Violation("I30", "", f"key {key} was answered with {len(made)} actions")
