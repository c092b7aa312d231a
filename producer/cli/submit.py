"""`comfyfleet submit`: hand in one job."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from producer.cli.fetching import fetch_all
from producer.cli.output import answering, hint, print_json, print_line
from producer.cli.watching import all_artifacts, watch
from producer.client import Producer
from producer.contract.errors import InvalidGraph, InvalidJob
from producer.contract.params import parse_param
from producer.contract.settings import load_settings
from producer.file_intake import InputLike


def submit(
    graph: Annotated[
        str, typer.Argument(help="A graph in ComfyUI's API format, or - for standard input.")
    ],
    *,
    params: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="ADDRESS=VALUE", help="As 6.text='a fox' or KSampler.seed=7."
        ),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NODE.INPUT=FILE",
            help="A file the graph reads: a path, s3://BUCKET/KEY, or node:NAME.",
        ),
    ] = None,
    pool: Annotated[str, typer.Option(help="Nodes fit for it.")] = "default",
    tier: Annotated[str, typer.Option(help="rush, default, batch or idle.")] = "default",
    pin: Annotated[str | None, typer.Option(help="The one node that may run it.")] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TEXT", help="Kept with the job and its artifacts."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: the same one gives the same job.")
    ] = None,
    start_within: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Else it ends as expired.")
    ] = None,
    run_within: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Else it ends as failed.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until it has ended.")] = False,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Wait no longer; the job goes on.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Wait, then copy its files here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Hand in one job and print its id; with --wait, print what it made."""
    with answering(as_json=as_json), Producer(load_settings()) as fleet:
        job = fleet.submit(
            read_graph(graph),
            params=dict(parse_param(text) for text in params or ()),
            inputs=as_inputs(inputs or ()),
            pool=pool,
            tier=tier,
            pin=pin,
            metadata=as_pairs(metadata or (), option="--metadata"),
            idempotency_key=key,
            start_within=as_duration(start_within, option="--start-within"),
            run_within=as_duration(run_within, option="--run-within"),
        )
        if not (wait or output):
            if as_json:
                print_json(job)
            else:
                print_line(job.id)
                hint(f"{job.status}; watch it: comfyfleet job wait {job.id}")
            return
        hint(f"job {job.id}")
        watch(fleet, [job.id], timeout=as_duration(timeout, option="--timeout"))
        job = fleet.wait(job.id, timeout=_over(timeout))
        if as_json:
            print_json(job)
        else:
            for line in all_artifacts([job]):
                print_line(line)
        if output:
            fetch_all(fleet, job, output)


def read_graph(graph: str) -> bytes:
    """Return a graph's file; `-` is standard input.

    Raises:
        InvalidGraph: it cannot be read.
    """
    if graph == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(graph).read_bytes()
    except OSError as exc:
        raise InvalidGraph(f"{graph} cannot be read: {exc.strerror}", field="graph") from exc


def as_inputs(texts: Sequence[str]) -> dict[str, InputLike]:
    """Read what `--input` was given."""
    return dict(as_pairs(texts, option="--input"))


def as_pairs(texts: Sequence[str], *, option: str) -> dict[str, Any]:
    """Read what an option of the form NAME=VALUE was given.

    Raises:
        InvalidJob: one of them has no `=`.
    """
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InvalidJob(f"{option} {text!r} has no '='; expected NAME=VALUE", field=option)
        pairs[name] = value
    return pairs


def _over(timeout: float | None) -> timedelta | None:
    """Return the patience that is left once all of it was used for watching."""
    return None if timeout is None else timedelta(0)


def as_duration(seconds: float | None, *, option: str) -> timedelta | None:
    """Read an option that counts seconds.

    Raises:
        InvalidJob: it is no number that a time can have, as in nan, inf or 1e14.
    """
    try:
        return None if seconds is None else timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        raise InvalidJob(
            f"{option} {seconds:g} is no length of time; expected seconds", field=option
        ) from None
