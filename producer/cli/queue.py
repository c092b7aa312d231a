"""`comfyfleet queue`: what waits, why, and how many nodes could take it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from producer.cli.arguments import JsonOption
from producer.cli.open_fleet import opened
from producer.cli.output import hint, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.contract.queue_lines import QueueLine

_WORDS = {
    "capacity": "nodes that could run it are busy",
    "not_ready": "no node that could run it is ready: comfyfleet node list",
    "no_node": "no living node could run it",
    "retry_at": "its next attempt, after a pause",
    "another_node": "another node than the one it failed on",
    "newer_worker": "a worker of a newer version",
    "its_turn": "its turn: rows reach the queue a few hundred at a time",
    "held": "its release",
}


def queue(*, as_json: JsonOption = False) -> None:
    """Show what waits by pool, tier and reason: how many, since when, and how many nodes could take it."""
    with opened(as_json=as_json) as fleet:
        lines = fleet.queue()
        if as_json:
            for line in lines:
                print_json(line)
        elif lines:
            _show(lines)
        else:
            hint("nothing waits")


def _show(lines: Sequence[QueueLine]) -> None:
    from rich.table import Table

    from producer.cli.escaping_console import OUT

    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("pool", "tier", "jobs", "oldest", "nodes", "waits for"):
        table.add_column(column, justify="right" if column in {"jobs", "nodes"} else "left")
    for line in lines:
        pool = f"{line.pool}, on {line.pin} only" if line.pin else line.pool
        why = _WORDS.get(line.reason, line.reason)
        age = _age((datetime.now(UTC) - line.oldest_at).total_seconds())
        table.add_row(pool, line.tier, f"{line.jobs:,}", age, str(line.nodes), why)
    OUT.print(table)


def _age(seconds: float) -> str:
    """Return a time as people read it, its largest unit alone."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
