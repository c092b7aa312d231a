"""Dead letter commands (`comfyfleet dead`: list, show, redrive, drop), and `comfyfleet job retry`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from producer.cli import jobs as jobs_command
from producer.cli.arguments import ApiKeyOption, JobArgument, JobsArgument, JsonOption, SomeJobs
from producer.cli.command_group import group
from producer.cli.open_fleet import opened
from producer.cli.output import (
    Exit,
    complain,
    exit_status,
    hint,
    print_json,
    print_line,
    print_row,
)
from producer.contract.errors import FleetError

if TYPE_CHECKING:
    from producer.client import Producer
    from producer.contract.dead_letters import DeadLetter
    from producer.contract.jobs import Job

app = group("Failed jobs that a person should look at.")

AllOption = Annotated[bool, typer.Option("--all", help="Every dead letter.")]
YesOption = Annotated[bool, typer.Option("--yes", help="With --all: do it.")]


def retry(
    jobs: JobsArgument,
    *,
    tier: Annotated[str | None, typer.Option(help="In place of their own.")] = None,
    pin: Annotated[str | None, typer.Option(help="The one node that may run them.")] = None,
    api_key_file: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit ended jobs again as new jobs; print the new ids."""
    with opened(as_json=as_json) as fleet:
        from producer.cli.options import as_secrets

        make = partial(fleet.retry, tier=tier, pin=pin, secrets=as_secrets(api_key_file))
        _make_again(jobs, make, as_json=as_json)


@app.command("list")
def list_dead(
    *,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, the newest first, and how many there are of each cause."""
    with opened(as_json=as_json) as fleet:
        causes = fleet.dead_letters.causes()
        letters = fleet.dead_letters.list(limit)
        for letter in letters:
            if as_json:
                print_json(letter)
            else:
                print_row(*_cells(letter))
        if not as_json:
            hint(_summary(causes, shown=len(letters)))


@app.command()
def show(job: JobArgument, *, as_json: JsonOption = False) -> None:
    """Show all that is known of a dead letter."""
    with opened(as_json=as_json) as fleet:
        fleet.dead_letters.show(fleet.get(job).id)
    jobs_command.show(job, as_json=as_json)
    if not as_json:
        hint(f"comfyfleet dead redrive {job} makes it again; comfyfleet dead drop {job} forgets it")


@app.command()
def redrive(
    jobs: SomeJobs = None,
    *,
    every: AllOption = False,
    yes: YesOption = False,
    api_key_file: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit dead letters again as new jobs; print the new ids."""
    with opened(as_json=as_json) as fleet:
        from producer.cli.options import as_secrets

        chosen = _chosen(fleet, jobs, every=every, yes=yes, verb="make again")
        _make_again(
            chosen,
            partial(fleet.dead_letters.redrive, secrets=as_secrets(api_key_file)),
            as_json=as_json,
        )


@app.command()
def drop(
    jobs: SomeJobs = None,
    *,
    every: AllOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove jobs from the list of dead letters; their records stay until they expire."""
    with opened(as_json=as_json) as fleet:
        for job in _chosen(fleet, jobs, every=every, yes=yes, verb="drop"):
            if not fleet.dead_letters.drop(job) and not every:
                fleet.dead_letters.show(job)
            if as_json:
                print_json({"job": job, "outcome": "dropped"})
            else:
                print_line(f"{job} dropped")


def _chosen(
    fleet: Producer, jobs: list[str] | None, *, every: bool, yes: bool, verb: str
) -> list[str]:
    """Return the ids given or, with --all, those of every dead letter; without --yes, end with status 2."""
    if every == bool(jobs):
        raise typer.BadParameter("name the jobs, or say --all", param_hint="JOB...")
    if not every:
        return list(jobs or ())
    if expired := fleet.dead_letters.prune():
        hint(f"{_counted(expired)} gone: the record has expired")
    every_id = [str(job_id) for job_id in fleet.dead_letters.ids()]
    if every_id and not yes:
        would = FleetError(f"this would {verb} {_counted(len(every_id))}", advice="add --yes")
        complain(would, as_json=False)
        raise typer.Exit(Exit.USAGE)
    return every_id


def _make_again(jobs: Iterable[str], make: Callable[[str], Job], *, as_json: bool) -> None:
    """Retry each job by *make* and print the new ids; a job that is refused does not stop the others."""
    status = Exit.GOOD
    for job in jobs:
        try:
            new = make(job)
        except FleetError as exc:
            if exit_status(exc) is not Exit.REFUSED:
                raise
            complain(exc, as_json=as_json)
            status = Exit.REFUSED
            continue
        if as_json:
            print_json({"job": new.id, "retry_of": new.retry_of})
        else:
            print_line(new.id)
        if new.done:
            hint(f"made again before; that one {new.status}: comfyfleet job retry {new.id}")
    if status:
        raise typer.Exit(status)


def _cells(letter: DeadLetter) -> tuple[str, ...]:
    error = letter.job.error if letter.job else None
    ended = letter.ended_at.isoformat(timespec="seconds")
    node = (error.node if error else None) or "-"
    return letter.id, ended, letter.cause, node, error.message if error else ""


def _summary(causes: Counter[str], *, shown: int) -> str:
    count = causes.total()
    if not count:
        return "no dead letters"
    each = ", ".join(f"{number} {cause}" for cause, number in causes.most_common())
    part = f"; the newest {shown} are shown" if shown < count else ""
    return f"{_counted(count)}: {each}{part}"


def _counted(count: int) -> str:
    return f"{count:,} dead letter{'' if count == 1 else 's'}"
