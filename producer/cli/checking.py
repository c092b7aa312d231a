"""Checking commands (`comfyfleet check`, `comfyfleet verify`): compare indexes and objects with records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from producer.cli.arguments import JsonOption, SomeJobs
from producer.cli.output import Exit, answering, hint, print_json, print_line, size
from producer.contract.number_words import how_many

if TYPE_CHECKING:
    from producer.checking.findings import Finding
    from producer.contract.jobs import Job


def check(
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put right what can be put right safely.")
    ] = False,
    objects: Annotated[
        bool, typer.Option("--objects", help="Compare the bucket with the records, too.")
    ] = False,
    stuck_after: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="So long a job may wait beside a node that is free."),
    ] = 60,
    as_json: JsonOption = False,
) -> None:
    """Find disagreements of records, indexes and counts; status 1 if any is left unrepaired."""
    with answering(as_json=as_json):
        from producer.checking.check import Check
        from producer.contract.config.settings import load_settings

        waited = timedelta(seconds=stuck_after)
        with Check(load_settings(), repair=repair, stuck_after=waited) as checking:
            findings = []
            for finding in checking.run(objects=objects):
                findings.append(finding)
                _tell(finding, as_json=as_json)
            left = sum(finding.is_left for finding in findings)
            if as_json:
                print_json({"jobs": checking.summary.jobs, "findings": len(findings), "left": left})
            else:
                hint(_summary(checking.summary.jobs, findings, left=left))
            if left:
                raise typer.Exit(Exit.JOBS_FAILED)


def verify(
    jobs: SomeJobs = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Every succeeded job that has a record.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read artifacts from S3 and compare length, SHA-256 and manifest; status 1 if any differs."""
    if every == bool(jobs):
        raise typer.BadParameter("name the jobs, or say --all", param_hint="JOB...")
    with answering(as_json=as_json):
        from producer.checking.verify import Verifier
        from producer.contract.config.settings import load_settings

        with Verifier(load_settings()) as verifier:
            flaws = 0
            for flaw in verifier.flaws(verifier.succeeded() if every else _named(jobs or [])):
                flaws += 1
                if as_json:
                    print_json(asdict(flaw))
                else:
                    print_line(flaw.message)
            totals = verifier.totals
            if as_json:
                print_json({**asdict(totals), "flaws": flaws})
            else:
                hint(
                    f"{how_many(totals.artifacts, 'artifact')} of {how_many(totals.jobs, 'job')},"
                    f" {size(totals.bytes)}: "
                    + (how_many(flaws, "flaw") if flaws else "all as recorded")
                )
            if flaws:
                raise typer.Exit(Exit.JOBS_FAILED)


def _named(jobs: list[str]) -> Iterator[Job]:
    from producer.client import Producer
    from producer.contract.config.settings import load_settings

    with Producer(load_settings()) as fleet:
        for job in jobs:
            yield fleet.get(job)


def _tell(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        print_json(finding.to_json())
        return
    from rich.text import Text

    from producer.cli.escaping_console import OUT

    colour = "green" if finding.mended else "dim" if finding.is_note else "red"
    OUT.print(Text(finding.kind, colour), finding.sentence)


def _summary(jobs: int, findings: list[Finding], *, left: int) -> str:
    if not findings:
        return f"{how_many(jobs, 'job')}: nothing is wrong"
    mended = sum(finding.mended for finding in findings)
    mendable = sum(finding.can_be_mended for finding in findings)
    parts = [f"{how_many(jobs, 'job')}: {len(findings):,} found"]
    parts += [f"{mended:,} mended"] if mended else []
    parts += [f"{left:,} left"]
    advice = "; --repair mends those that can be mended" if mendable else ""
    return ", ".join(parts) + advice
