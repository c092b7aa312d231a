"""`comfyfleet job list` and `comfyfleet batch rows`: the jobs that a filter means, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from producer.cli.arguments import BatchNameArgument, JsonOption
from producer.cli.filter_words import filter_of
from producer.cli.open_fleet import opened
from producer.cli.output import hint, print_json, print_line
from producer.contract.errors import JobNotFound
from producer.contract.ids import row_of

if TYPE_CHECKING:
    from producer.client import Producer
    from producer.contract.filters.query import Filter
    from producer.contract.jobs import Job

_OPTIONS: Final = ("--limit", "--cursor", "--filters", "--json", "--help")

#: A term may begin with "-", as an option does.
TAKES_TERMS = {"ignore_unknown_options": True}

FilterArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILTER...",
        help="Which jobs, as status:failed batch:night-0412; `job list --filters` tells all.",
    ),
]
LimitOption = Annotated[int, typer.Option(help="Jobs of a page, 1 to 1,000.")]
CursorOption = Annotated[
    str | None, typer.Option(help="Go on after the page that gave it; with the same filter.")
]


def list_jobs(
    filter_: FilterArgument = None,
    *,
    limit: LimitOption = 50,
    cursor: CursorOption = None,
    filters: Annotated[
        bool, typer.Option("--filters", help="Print what a filter may say, and end.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the jobs that a filter means, the newest first; rows of a batch with batch:NAME, in their order."""
    if filters:
        from producer.contract.filters.fields import filter_help

        for line in filter_help().splitlines():
            print_line(line)
        return
    with opened(as_json=as_json) as fleet:
        from producer.cli.job_table import show_jobs
        from producer.contract.filters.parser import parse_filter

        jobs, next_ = _page(
            fleet, parse_filter(filter_of(filter_, options=_OPTIONS)), cursor, limit
        )
        if as_json:
            for job in jobs:
                print_json(job)
        else:
            show_jobs(jobs)
        _tell_next(next_, as_json=as_json)


def list_rows(
    batch: BatchNameArgument,
    filter_: FilterArgument = None,
    *,
    limit: LimitOption = 50,
    cursor: CursorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the rows of a batch that a filter means, each as the newest job that was made of it."""
    with opened(as_json=as_json) as fleet:
        from producer.cli.job_table import show_rows
        from producer.contract.filters.parser import parse_filter

        wanted = parse_filter(filter_of(filter_, options=_OPTIONS)).of_batch(batch)
        jobs, next_ = _page(fleet, wanted, cursor, limit)
        numbered = [(_row_of(fleet, job), job) for job in jobs]
        if as_json:
            for row, job in numbered:
                print_json({"row": row, **job.model_dump(mode="json", exclude_none=True)})
        else:
            show_rows(numbered)
        _tell_next(next_, as_json=as_json)


def _page(
    fleet: Producer, wanted: Filter, cursor: str | None, limit: int
) -> tuple[list[Job], str | None]:
    """Return a page that is full, unless the list ends: one call looks at so many jobs only."""
    page = fleet.jobs(wanted, cursor, limit)
    jobs = page.jobs
    while page.cursor and len(jobs) < limit:
        page = fleet.jobs(wanted, page.cursor, limit - len(jobs))
        jobs += page.jobs
    return jobs, page.cursor


def _row_of(fleet: Producer, job: Job) -> int | None:
    """Return the row of its batch that a job is; None if it was made again of one that has expired."""
    while job.retry_of:
        try:
            job = fleet.get(job.retry_of)
        except JobNotFound:
            return None
    batch, row = row_of(job.id)
    return row if batch == job.batch else None


def _tell_next(cursor: str | None, *, as_json: bool) -> None:
    if cursor and as_json:
        print_json({"cursor": cursor})
    elif cursor:
        hint(f"there are more: --cursor {cursor}")
