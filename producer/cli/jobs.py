"""Jobs commands (`comfyfleet job`): show, wait, cancel, hold, release, fetch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from producer.cli.arguments import JobArgument, JobsArgument, JsonOption, UrlsOption
from producer.cli.command_group import group
from producer.cli.open_fleet import opened
from producer.cli.output import Exit, complain, print_json, print_line
from producer.contract.errors import JobNotSucceeded

if TYPE_CHECKING:
    from producer.contract.jobs import Job

app = group("Look at jobs, wait for them, end them.")


@app.command()
def show(
    job: JobArgument,
    *,
    urls: UrlsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show a job: status, why it waits or failed, attempts, times, and artifacts."""
    with opened(as_json=as_json) as fleet:
        from producer.cli.job_view import show_job
        from producer.waiting_reasons import explain

        found = fleet.get(job)
        if urls:
            signed = [a.model_copy(update={"url": fleet.url(a)}) for a in found.artifacts]
            found = found.model_copy(update={"artifacts": signed})
        if as_json:
            print_json(found)
        else:
            show_job(found, waits_for=None if found.done else explain(found, fleet.nodes()))


@app.command()
def wait(
    jobs: JobsArgument,
    *,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Wait no longer; the jobs go on.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Wait until the jobs have ended; print their artifacts."""
    failed = 0
    with opened(as_json=as_json) as fleet:
        from producer.cli.job_progress import all_artifacts, outcome, watch
        from producer.cli.options import as_duration

        limit = as_duration(timeout, option="--timeout")
        watch(fleet, jobs, timeout=limit)
        for job_id in jobs:
            try:
                job = outcome(fleet, job_id, waited=limit)
            except JobNotSucceeded as exc:
                failed += 1
                complain(exc, as_json=False)
                job = exc.job
            if as_json:
                print_json(job)
            else:
                for line in all_artifacts([job]):
                    print_line(line)
    if failed:
        raise typer.Exit(Exit.JOBS_FAILED)


@app.command()
def cancel(
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...")], *, as_json: JsonOption = False
) -> None:
    """Cancel jobs; a running one is interrupted at its node."""
    with opened(as_json=as_json) as fleet:
        for job_id in jobs:
            outcome = fleet.cancel(job_id)
            if as_json:
                print_json({"job": job_id, "outcome": outcome.value})
            else:
                print_line(f"{job_id} {outcome.value}")


@app.command()
def hold(jobs: JobsArgument, *, as_json: JsonOption = False) -> None:
    """Hold jobs that wait for a node."""
    with opened(as_json=as_json) as fleet:
        _tell_statuses(map(fleet.hold, jobs), as_json=as_json)


@app.command()
def release(jobs: JobsArgument, *, as_json: JsonOption = False) -> None:
    """Release held jobs: they wait for a node again."""
    with opened(as_json=as_json) as fleet:
        _tell_statuses(map(fleet.release, jobs), as_json=as_json)


@app.command()
def fetch(
    job: JobArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made if it is not there.")],
) -> None:
    """Copy a job's artifacts into a folder, each checked against its SHA-256."""
    with opened(as_json=False) as fleet:
        from producer.cli.fetching import fetch_all

        for path in fetch_all(fleet, fleet.get(job), folder):
            print_line(str(path))


def _tell_statuses(jobs: Iterable[Job], *, as_json: bool) -> None:
    for job in jobs:
        if as_json:
            print_json({"job": job.id, "status": job.status.value})
        else:
            print_line(f"{job.id} {job.status}")
