"""Restarts that persons ask for: I34. One that may wait costs no job its prompt: the node ends what it holds first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.chaos.checker.history import History, Violation

#: How an attempt ends whose node went away.
_GONE: Final = frozenset({"prompt_lost", "node_fault"})
#: A restart is done by then, ms: the node has ended what it held, or others have taken that.
_DONE_WITHIN_MS: Final = 15_000
#: What the harness itself notes of a restart that a person asks for.
_OURS: Final = "node restarted by a person"
#: So long after a fault it still explains that a node is away, s.
_AFTERMATH_S: Final = 15.0


def check_restarts(history: History) -> Iterator[Violation]:
    """Yield attempts that ended with a node whose restart could have waited for them."""
    for said in history.client:
        if said["do"] != "ask" or said["verb"] != "restart" or said.get("now"):
            continue
        from_ms = 1000 * said["asked_at"]
        for job, events in history.events_of.items():
            for lost in _lost(events, said["about"]):
                at_ms = int(lost["at"])
                is_in_time = from_ms < at_ms < from_ms + _DONE_WITHIN_MS
                if is_in_time and not _was_hurt(history, said["about"], from_ms, at_ms):
                    story = f"lost to a restart of {said['about']}, which could have waited"
                    yield Violation("I34", job, f"attempt {int(lost['attempt']) - 1} was {story}")


def _lost(events: list[dict[str, Any]], node: str) -> Iterator[dict[str, Any]]:
    """Yield the requeues of attempts that a node lost."""
    claimed_by = ""
    for event in events:
        if event["type"] == "claimed":
            claimed_by = event["node"]
        elif event["type"] == "requeued" and event.get("cause") in _GONE and claimed_by == node:
            yield event


def _was_hurt(history: History, node: str, since_ms: float, until_ms: float) -> bool:
    return any(
        fault["target"] in {node, "all"}
        and fault["kind"] != _OURS
        and fault["from"] * 1000 < until_ms
        and (fault["until"] + _AFTERMATH_S) * 1000 > since_ms
        for fault in history.faults
    )
