"""`comfyfleet job`: look at jobs, wait for them, end them, fetch what they made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from producer.cli.fetching import fetch_all
from producer.cli.output import OUT, Exit, answering, complain, print_json, print_line, size
from producer.cli.watching import all_artifacts, watch
from producer.client import Producer
from producer.contract.errors import JobNotSucceeded
from producer.contract.jobs import Job
from producer.contract.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Look at jobs, wait for them, end them.")

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Its id.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@app.command()
def show(
    job: JobArgument,
    *,
    urls: Annotated[bool, typer.Option("--urls", help="Presigned, valid for an hour.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show all that is known of a job: where it is, why, and what it made."""
    with answering(as_json=as_json), Producer(load_settings()) as fleet:
        found = fleet.get(job)
        if urls:
            signed = [a.model_copy(update={"url": fleet.url(a)}) for a in found.artifacts]
            found = found.model_copy(update={"artifacts": signed})
        if as_json:
            print_json(found)
        else:
            OUT.print(_portrait(found))
            for line in _artifact_lines(found):
                OUT.print(line)


@app.command()
def wait(
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...", help="Their ids.")],
    *,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Wait no longer; the jobs go on.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Stay until the jobs have ended; print what they made."""
    failed = 0
    with answering(as_json=as_json), Producer(load_settings()) as fleet:
        watch(fleet, jobs, timeout=None if timeout is None else timedelta(seconds=timeout))
        for job_id in jobs:
            try:
                job = fleet.wait(job_id, timeout=None if timeout is None else timedelta(0))
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
    """Ask for the end of jobs; a running one is stopped at its node."""
    with answering(as_json=as_json), Producer(load_settings()) as fleet:
        for job_id in jobs:
            outcome = fleet.cancel(job_id)
            if as_json:
                print_json({"job": job_id, "outcome": outcome.value})
            else:
                print_line(f"{job_id} {outcome.value}")


@app.command()
def fetch(
    job: JobArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made if it is not there.")],
) -> None:
    """Copy what a job made into a folder, each file checked against its sha256."""
    with answering(as_json=False), Producer(load_settings()) as fleet:
        for path in fetch_all(fleet, fleet.get(job), folder):
            print_line(str(path))


def _portrait(job: Job) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in _rows(job):
        table.add_row(f"[dim]{name}[/]", escape(value))
    return table


def _rows(job: Job) -> Iterator[tuple[str, str]]:
    yield "job", job.id
    yield "status", _status(job)
    if job.error:
        yield "error", job.error.message
        if job.error.advice:
            yield "try", job.error.advice
    yield "tier, pool", f"{job.tier}, {job.pool}" + (f", pinned to {job.pin}" if job.pin else "")
    if job.node:
        yield "node", job.node
    yield "attempt", f"{job.attempt} ({job.charged_attempts} charged, {job.free_attempts} free)"
    for attempt in job.attempts:
        where = f" on {attempt.node}" if attempt.node else ""
        yield f"  {attempt.number}", f"{attempt.error.cause}{where}: {attempt.error.message}"
    spent = job.timings.model_dump(exclude_none=True)
    yield "seconds", ", ".join(f"{phase} {seconds:.3f}" for phase, seconds in spent.items())
    yield "created", job.created_at.isoformat(timespec="milliseconds")
    if job.ended_at:
        yield "ended", job.ended_at.isoformat(timespec="milliseconds")
    for name, value in job.params.items():
        yield f"set {name}", repr(value)
    for name, file in job.inputs.items():
        yield f"input {name}", file.name
    for name, value in job.metadata.items():
        yield f"metadata {name}", value
    for graph_node, value in job.values.items():
        yield f"value of {graph_node}", str(value)


def _status(job: Job) -> str:
    if job.waiting_for:
        return f"{job.status}, waiting for {job.waiting_for}"
    if job.phase:
        done = job.progress.percent if job.progress else None
        part = "" if done is None else f", {done:.0f} %"
        asked = ", to be cancelled" if job.cancel_requested else ""
        return f"{job.status}: {job.phase}{part}{asked}"
    return f"{job.status} ({job.cause})" if job.cause else str(job.status)


def _artifact_lines(job: Job) -> Iterator[str]:
    for artifact in job.artifacts:
        pixels = f" {artifact.width}×{artifact.height}" if artifact.width else ""  # noqa: RUF001
        yield f"[green]{escape(artifact.key)}[/]{pixels} {artifact.media_type} {size(artifact.bytes)}"
        yield f"  [dim]{artifact.type} of graph node {artifact.graph_node}, sha256 {artifact.sha256}[/]"
        if artifact.url:
            yield f"  {escape(artifact.url)}"
