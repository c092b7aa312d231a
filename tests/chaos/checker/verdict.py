"""All checks together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.checker.actions import check_actions
from tests.chaos.checker.artifacts import check_artifacts
from tests.chaos.checker.brakes import check_brakes
from tests.chaos.checker.copies import FOLDER, check_copies
from tests.chaos.checker.fates import check_fates
from tests.chaos.checker.history import History, Violation
from tests.chaos.checker.indexes import check_indexes
from tests.chaos.checker.lists import check_lists
from tests.chaos.checker.moves import check_moves
from tests.chaos.checker.names import check_names
from tests.chaos.checker.outbox import check_outbox
from tests.chaos.checker.owners import check_owners
from tests.chaos.checker.places import check_places
from tests.chaos.checker.records import check_records
from tests.chaos.checker.renders import check_renders, extra_renders
from tests.chaos.checker.restarts import check_restarts
from tests.chaos.checker.results import check_results
from tests.chaos.checker.totals import check_totals
from tests.chaos.checker.waits import check_waits
from tests.chaos.checker.webhooks import check_webhooks
from tests.chaos.checker.wishes import check_wishes

CHECKS = (
    *(check_fates, check_moves, check_artifacts, check_renders, check_indexes, check_waits),
    *(check_lists, check_owners, check_records, check_outbox, check_results, check_totals),
    *(check_webhooks, check_copies, check_wishes, check_actions, check_places, check_names),
    *(check_brakes, check_restarts),
)


def check(history: History) -> list[Violation]:
    """Return every violation of an invariant; none: the fleet kept its promises."""
    return [violation for look in CHECKS for violation in look(history)]


def summary(folder: Path) -> dict[str, Any]:
    """Check a folder of evidence and return counts and violations as JSON."""
    history = History.read(folder)
    violations = check(history)
    by_invariant = Counter(violation.invariant for violation in violations)
    return {
        "jobs": len(history.jobs),
        "ends": dict(Counter(record.status for record in history.jobs.values())),
        "lost": by_invariant["I1"],
        "stuck": by_invariant["I2"],
        "duplicate_commits": sum(
            "committed" in v.evidence for v in violations if v.invariant == "I4"
        ),
        "extra_renders": extra_renders(history),
        "attempts": dict(Counter(record.attempt for record in history.jobs.values())),
        "poisoned": sum(record.cause == "poison" for record in history.jobs.values()),
        "by_http": len(
            {s["job"] for s in history.submissions if s.get("by") == "http" and s["job"]}
        ),
        "messages": len(history.received),
        "copies": sum(key.startswith(FOLDER) for key in history.objects),
        "wishes": sum(said["do"] == "wish" and bool(said["wanted"]) for said in history.client),
        **_operations(history),
        "violations": len(violations),
        "by_invariant": dict(by_invariant),
        "found": [vars(violation) for violation in violations[:50]],
    }


def _operations(history: History) -> dict[str, int]:
    """Count what persons asked for that was answered."""
    done = Counter(
        said["do"] for said in history.client if said.get("answer") in {"done", "accepted"}
    )
    told = {"actions": "act", "stops": "stop", "moves": "move", "namings": "name", "asks": "ask"}
    braked = sum(event["type"] == "braked" for event in history.fleet_events)
    by_name = sum("named" in said and said["answer"] == "accepted" for said in history.submissions)
    return {**{name: done[do] for name, do in told.items()}, "by_name": by_name, "brakes": braked}
