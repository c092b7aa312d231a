"""Jobs of a list, as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from producer.cli.escaping_console import OUT
from producer.cli.output import hint
from producer.contract.graph.json_values import short
from producer.contract.jobs import Job, JobStatus

_COLOURS: Final = {
    JobStatus.SUCCEEDED: "green",
    JobStatus.FAILED: "red",
    JobStatus.EXPIRED: "red",
    JobStatus.RUNNING: "cyan",
}


def show_jobs(jobs: Sequence[Job]) -> None:
    """Print a line for each job: where it is, why, and whose it is."""
    columns = ("job", "status", "why", "tier", "pool", "node", "owner", "created")
    _show(columns, [(job.id, *_cells(job), job.owner, _time(job)) for job in jobs])


def show_rows(rows: Sequence[tuple[int | None, Job]]) -> None:
    """Print a line for each row of a batch: its number, the job, where that is, and why."""
    columns = ("row", "job", "status", "why", "tier", "pool", "node")
    _show(columns, [(str(row or "?"), job.id, *_cells(job)) for row, job in rows])


def _show(columns: Sequence[str], lines: Sequence[Sequence[str | Text]]) -> None:
    if not lines:
        hint("no such job")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column)
    for line in lines:
        table.add_row(*line)
    OUT.print(table)


def _cells(job: Job) -> tuple[str | Text, ...]:
    status = Text(job.status, _COLOURS.get(job.status, ""))
    return status, _why(job), job.tier, job.pool, job.node or ""


def _why(job: Job) -> str:
    """Return the one word that says most: a cause, a phase, what it waits for."""
    if job.retried_as:
        return f"{job.cause}, made again"
    if job.cancel_requested and not job.done:
        return f"{job.phase}, to be cancelled"
    return short(job.cause or job.phase or job.waiting_for or "")


def _time(job: Job) -> str:
    return job.created_at.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
