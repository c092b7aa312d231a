"""Copies that were asked for: I29. Each is there, byte for byte, or is shown as failed with a reason; none is forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from tests.chaos.checker.history import History, Record, Violation

#: Below this lie the copies that a storm asks for.
FOLDER: Final = "copies/"


def check_copies(history: History) -> Iterator[Violation]:
    """Yield copies that lack, differ or still wait, and objects that are no copy of anything."""
    known = set()
    for record in history.succeeded():
        if history.asked_of(record).get("deliver") and not record.fields.get("deliver"):
            yield Violation("I29", record.job, "copies were asked for, its record has lost that")
        if record.fields.get("deliver"):
            copies = _copies(record)
            known |= {copy["key"] for copy in copies}
            yield from _of_artifacts(history, record, copies)
    for job in history.redis.get("copies", {}):
        yield Violation("I29", job, "it stands in the list of those whose copies are to be made")
    for key in history.objects:
        if key.startswith(FOLDER) and key not in known:
            yield Violation("I29", "", f"{key} is a copy that no record has")


def _copies(record: Record) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(record.fields.get("copies") or "[]")
    return found


def _of_artifacts(
    history: History, record: Record, copies: list[dict[str, Any]]
) -> Iterator[Violation]:
    for n, artifact in enumerate(record.artifacts):
        of_it = [copy for copy in copies if copy["n"] == n]
        if len(of_it) != 1:
            yield Violation(
                "I29", record.job, f"artifact {n} has {len(of_it)} copies in its record"
            )
        for copy in of_it:
            if story := _fault(history, copy, artifact):
                yield Violation("I29", record.job, f"the copy of artifact {n}: {story}")


def _fault(history: History, copy: dict[str, Any], artifact: dict[str, Any]) -> str:
    """Return what is wrong with a copy; empty if nothing is."""
    state = copy.get("state", "waiting")
    if state == "failed":
        return "" if copy.get("error") else "it failed, and nobody says why"
    if state != "done":
        return f"it is {state} after the quiet time: {copy.get('error', 'no word why')}"
    stored = history.objects.get(copy["key"])
    if stored is None:
        return f"it counts as done, and {copy['key']} is not there"
    if stored["sha256"] != artifact["sha256"]:
        return f"{copy['key']} has other bytes than the artifact"
    return ""
