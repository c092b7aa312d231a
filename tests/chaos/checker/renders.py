"""What the nodes did: I10 (one live prompt that can commit) and I13 (capacity)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from tests.chaos.checker.history import TERMINAL, History, Violation

#: Prompts a node may have from us at once: the one that renders and what looks ahead.
DEPTH: Final = 3

#: So long a prompt may run on after it was interrupted: until its next step, ms.
_NOTICES_MS: Final = 2_000
#: A fault excuses an interrupt that failed so shortly before or after it, s.
_EXCUSES_S: Final = 4.0

#: What takes the answer to a command that was carried out.
_CUTTING: Final = {"Redis restarted", "connections cut", "connection broken at a request"}
#: So shortly before or after such a fault a command loses its answer, s.
_ANSWERS_S: Final = 1.0


def check_renders(history: History) -> Iterator[Violation]:
    """Yield what was rendered twice, side by side or beyond a node's capacity."""
    for job, prompts in history.prompts_of.items():
        yield from _again(job, prompts)
        yield from _side_by_side(history, job, prompts)
    yield from _one_at_a_time(history)
    yield from _depth(history)


def extra_renders(history: History) -> int:
    """Return how many prompts were executed beyond one for each charged or final attempt."""
    extra = 0
    for job, record in history.jobs.items():
        prompts = history.prompts_of.get(job, [])
        needed = max(1, record.charged)
        extra += max(0, len(prompts) - needed)
    return extra


def _again(job: str, prompts: list[dict[str, Any]]) -> Iterator[Violation]:
    """A second render needs a new attempt, unless the node forgot the first one by dying."""
    ended = set()
    for prompt in prompts:
        if prompt["prompt_id"] in ended:
            story = f"the prompt of attempt {prompt['attempt']} ran again on {prompt['node']}"
            yield Violation("I10", job, story)
        if prompt["outcome"] is not None:
            ended.add(prompt["prompt_id"])


def _side_by_side(history: History, job: str, prompts: list[dict[str, Any]]) -> Iterator[Violation]:
    for older, newer in pairwise(prompts):
        together_ms = (older["ended_ms"] or older["started_ms"]) - newer["started_ms"]
        if together_ms <= _NOTICES_MS:
            continue
        if older["attempt"] == newer["attempt"]:
            yield Violation("I10", job, f"attempt {older['attempt']} ran twice at one time")
        elif older["outcome"] == "success" and not _is_excused(history, older, newer):
            story = f"attempt {older['attempt']} ran on for {together_ms} ms beside its successor"
            yield Violation("I10", job, f"{story}; nobody interrupted it on {older['node']}")


def _is_excused(history: History, older: dict[str, Any], newer: dict[str, Any]) -> bool:
    """Tell whether a fault kept the fleet from interrupting *older*; a lost worker does not."""
    begin = newer["started_ms"] / 1000 - _EXCUSES_S
    end = older["ended_ms"] / 1000
    return any(
        fault["target"] in {older["node"], "all"}
        and not fault["kind"].startswith("worker")
        and fault["from"] <= end
        and fault["until"] + _EXCUSES_S >= begin
        for fault in history.faults
    )


def _one_at_a_time(history: History) -> Iterator[Violation]:
    by_boot = defaultdict(list)
    for prompt in history.prompts:
        by_boot[prompt["node"], prompt["boot"]].append(prompt)
    for (node, _), prompts in by_boot.items():
        prompts.sort(key=lambda prompt: prompt["started_ms"])
        for first, second in pairwise(prompts):
            if first["ended_ms"] and first["ended_ms"] > second["started_ms"]:
                yield Violation("I13", second["job"] or "", f"{node} rendered two prompts at once")


def _depth(history: History) -> Iterator[Violation]:
    """Count the jobs that need each node's card, from claim to the end of the render."""
    using: dict[str, dict[str, int]] = defaultdict(dict)  # node: job: when it was claimed
    where: dict[str, str] = {}
    for event in history.events:
        job, type_, node, at = event["job"], event["type"], event["node"], int(event["at"])
        if type_ == "claimed" and not _is_unanswered(history, event):
            where[job] = node
            using[node][job] = at
            # The record may say later than the node that a render has ended: its write was held up.
            held = [one for one in using[node].items() if not _has_left(history, node, *one, at)]
            if len(held) > DEPTH:
                yield Violation("I13", job, f"{node} holds {len(held)} jobs that need its card")
        is_over = event["status"] in TERMINAL or type_ == "requeued"
        if job in where and (is_over or event.get("phase") in {"fetching", "storing"}):
            using[where.pop(job)].pop(job, None)


def _is_unanswered(history: History, claim: dict[str, Any]) -> bool:
    """Tell whether a worker was never told of its claim: what breaks a connection met it, and nothing came of it."""
    at, n = int(claim["at"]) / 1000, int(claim["n"])
    after = (event for event in history.events_of[claim["job"]] if int(event["n"]) > n)
    has_begun = next(after, {"type": "phase"})["type"] == "phase"
    return not has_begun and any(
        fault["kind"] in _CUTTING
        and fault["target"] in {claim["node"], "all"}
        and fault["from"] - _ANSWERS_S <= at <= fault["until"] + _ANSWERS_S
        for fault in history.faults
    )


def _has_left(history: History, node: str, job: str, since: int, until: int) -> bool:
    """Tell whether a prompt of the job began on the node, and ended there or died with it, within these Unix ms."""
    return any(
        prompt["node"] == node
        and prompt["started_ms"] >= since
        and (
            prompt["ended_ms"] <= until
            if prompt["ended_ms"]
            else _was_killed(history, node, prompt["started_ms"], until)
        )
        for prompt in history.prompts_of[job]
    )


def _was_killed(history: History, node: str, since: int, until: int) -> bool:
    return any(
        fault["kind"] == "node killed"
        and fault["target"] == node
        and since <= 1000 * fault["until"]
        and 1000 * fault["from"] <= until
        for fault in history.faults
    )
