"""Submit command (`comfyfleet submit`): submits one job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from producer.cli.arguments import ApiKeyOption, DeliverOption, JsonOption
from producer.cli.open_fleet import opened
from producer.cli.output import hint, print_json, print_line


def submit(
    graph: Annotated[
        str,
        typer.Argument(
            help="A graph in ComfyUI's API format, a picture that ComfyUI saved with its graph in "
            "it, - for standard input, or template:NAME."
        ),
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
    api_key_file: ApiKeyOption = None,
    pool: Annotated[str, typer.Option(help="Nodes fit for it.")] = "default",
    tier: Annotated[str, typer.Option(help="rush, default, batch or idle.")] = "default",
    pin: Annotated[str | None, typer.Option(help="The one node that may run it.")] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TEXT", help="Kept with the job and its artifacts."),
    ] = None,
    owner: Annotated[str, typer.Option(help="For whom it is handed in.")] = "",
    hook: Annotated[str, typer.Option(help="The webhook that is told of its end.")] = "",
    deliver: DeliverOption = None,
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
    as_json: JsonOption = False,
) -> None:
    """Submit one job and print its id; with --wait, print its artifacts."""
    with opened(as_json=as_json) as fleet:
        from producer.cli.fetching import check_folder, fetch_all
        from producer.cli.job_progress import all_artifacts, outcome, watch
        from producer.cli.options import (
            as_deliver,
            as_duration,
            as_inputs,
            as_pairs,
            as_params,
            as_secrets,
            read_source,
        )

        if output:
            check_folder(output)  # before anything is rendered for it
        content, found = read_source(graph, fleet, owner=owner)
        job = fleet.submit(
            content,
            params=as_params(params or (), found),
            inputs=as_inputs(inputs or (), found),
            extra_data=as_secrets(api_key_file),
            pool=pool,
            tier=tier,
            pin=pin,
            metadata=as_pairs(metadata or (), option="--metadata"),
            owner=owner,
            hook=hook,
            deliver=as_deliver(deliver or ()),
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
        limit = as_duration(timeout, option="--timeout")
        watch(fleet, [job.id], timeout=limit)
        job = outcome(fleet, job.id, waited=limit)
        if as_json:
            print_json(job)
        else:
            for line in all_artifacts([job]):
                print_line(line)
        if output:
            fetch_all(fleet, job, output)
