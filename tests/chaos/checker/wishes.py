"""What persons want of nodes: I28. What is wanted last is what is so at the end, and a node that rests claims nothing.

A message that a worker had popped when it obeyed may still become a claim; and whoever was hurt meanwhile may have been
held up between the two.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.checker.history import History, Violation

#: States of a node that has obeyed, and holds nothing that it drains.
_RESTS: Final = frozenset({"paused", "quarantined"})
#: States of a node that does what is wanted of it; a drained one that finishes what it holds is the last.
_OBEYS: Final = _RESTS | {"draining"}
#: A worker that is well hears of a wish at once, or with its next beat, ms.
_OBEYS_WITHIN_MS: Final = 3_000
#: How long a message may be on its way from the broker to its claim, ms.
_ON_ITS_WAY_MS: Final = 1_000


def check_wishes(history: History) -> Iterator[Violation]:
    """Yield wishes that do not hold, or hold for ever, and claims of nodes that rest."""
    yield from _last_words(history)
    yield from _states(history)
    yield from _claims(history)
    for wish in rests(history):
        yield from _disobeyed(history, wish)


def _last_words(history: History) -> Iterator[Violation]:
    said = [line for line in history.client if line["do"] == "wish"]
    for kind in ("node", "pool", "doubt"):
        kept = history.redis.get(f"{kind}_wishes", {})
        last = {line["about"]: line for line in said if line["kind"] == kind}
        for about in sorted(last.keys() | kept.keys()):
            asked = last.get(about, {"wanted": "", "answer": "done"})
            is_ = json.loads(kept[about])["state"] if about in kept else ""
            if asked["answer"] == "done" and asked["wanted"] != is_:
                story = f"{kind} {about} was last wanted {asked['wanted'] or 'to work'}, the fleet has {is_ or 'nothing'}"
                yield Violation("I28", "", story)


def _states(history: History) -> Iterator[Violation]:
    pools = history.redis.get("pool_wishes", {})
    wished = history.redis.get("node_wishes", {}).keys() | history.redis.get("doubt_wishes", {})
    for name, node in sorted(history.redis.get("nodes", {}).items()):
        is_wanted = name in wished or node.get("pool") in pools
        if is_wanted and node["state"] == "ready":
            yield Violation("I28", "", f"node {name} takes work, and is wanted to rest")
        if not is_wanted and node["state"] in _OBEYS:
            yield Violation("I28", "", f"node {name} is {node['state']}, and nobody wants that")


def _claims(history: History) -> Iterator[Violation]:
    """Follow the stream: between a node's word that it rests and its next word it claims nothing."""
    rests: dict[str, int] = {}
    of_nodes = [event for event in history.fleet_events if event.get("kind") == "node"]
    for event in sorted((*history.events, *of_nodes), key=_place):
        at_ms = int(event.get("at", 0))
        if event.get("kind") == "node":
            rests.pop(event["about"], None)
            if event.get("state") in _RESTS:
                rests[event["about"]] = at_ms
        elif event["type"] == "claimed" and event["node"] in rests:
            since = rests[event["node"]]
            if at_ms - since > _ON_ITS_WAY_MS and not _was_hurt(
                history, event["node"], since, at_ms
            ):
                story = f"{event['node']} claimed it {at_ms - since} ms after it said that it rests"
                yield Violation("I28", event["job"], story)


@dataclass(frozen=True)
class Rest:
    """From when to when a node (also for a doubt), or each node of a pool, was surely wanted to rest, Unix ms."""

    kind: str
    about: str
    from_ms: float
    until_ms: float


def rests(history: History) -> Iterator[Rest]:
    """Yield them: each from the answer to a wish until something else was asked for."""
    said = [line for line in history.client if line["do"] == "wish"]
    for number, line in enumerate(said):
        if line["wanted"] and line["answer"] == "done":
            is_same = (line["kind"], line["about"])
            later = (one for one in said[number + 1 :] if (one["kind"], one["about"]) == is_same)
            until = next((one["asked_at"] for one in later), math.inf)
            yield Rest(*is_same, 1000 * line["at"], 1000 * until)


def _disobeyed(history: History, wish: Rest) -> Iterator[Violation]:
    from_ms = wish.from_ms + _OBEYS_WITHIN_MS
    pool_of = {name: node.get("pool") for name, node in history.redis.get("nodes", {}).items()}
    for event in history.events:
        if event["type"] != "claimed" or not from_ms < int(event["at"]) < wish.until_ms:
            continue
        node = event["node"]
        is_meant = wish.about == (pool_of.get(node) if wish.kind == "pool" else node)
        if is_meant and not _was_hurt(history, node, int(wish.from_ms), int(event["at"])):
            late_ms = int(event["at"]) - wish.from_ms
            story = f"{node} claimed it {late_ms:.0f} ms after {wish.kind} {wish.about} was to rest"
            yield Violation("I28", event["job"], story)


def _was_hurt(history: History, node: str, since_ms: int, until_ms: int) -> bool:
    return any(
        fault["target"] in {node, "all"}
        and fault["from"] * 1000 < until_ms
        and fault["until"] * 1000 > since_ms
        for fault in history.faults
    )


def _place(event: dict[str, Any]) -> tuple[int, int]:
    ms, _, number = event["id"].partition("-")
    return int(ms), int(number)
