"""Batch view: prints a batch and its results for a person, or as JSON."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from producer.cli.escaping_console import OUT
from producer.cli.output import hint, print_json, print_row
from producer.contract.batches import Batch


def tell_batch(batch: Batch, *, as_json: bool) -> None:
    """Print a batch: its state, its jobs by status, and how it was submitted."""
    if as_json:
        print_json(batch)
        return
    table = Table.grid(padding=(0, 2))
    counts = batch.counts.model_dump()
    facts = {
        "batch": batch.id,
        "name": batch.name,
        "state": state_of(batch),
        "braked": batch.braked_why,
        "rows": f"{batch.rows:,}" + (f", {batch.skipped:,} left out" if batch.skipped else ""),
        **{status: f"{count:,}" for status, count in counts.items() if count},
        "tier, pool": f"{batch.tier}, {batch.pool}"
        + (f", pinned to {batch.pin}" if batch.pin else ""),
        "created": batch.created_at.isoformat(timespec="seconds"),
        "ended": batch.ended_at.isoformat(timespec="seconds") if batch.ended_at else "",
    }
    for fact, value in facts.items():
        if value:
            table.add_row(Text(fact, "dim"), value)
    OUT.print(table)


def state_of(batch: Batch) -> str:
    """Return a batch's state, with `held` if it is held, or `braked`."""
    kept = "braked" if batch.braked_at else "held"
    return f"{batch.state}, {kept}" if batch.held and not batch.done else str(batch.state)


def tell_result(line: dict[str, Any]) -> None:
    """Print a line for each artifact of a row, or one that says why there is none; notes go to stderr."""
    notes = line["notes"]
    why = line["error"]["message"] if "error" in line else line.get("cause") or "; ".join(notes)
    made = [artifact.get("url") or artifact["key"] for artifact in line["artifacts"]]
    for what in made or [why]:
        print_row(line["row"], line["id"], line["status"], what)
    for note in notes if made else ():
        hint(f"row {line['row']}: {note}")
