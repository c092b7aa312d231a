"""Batch commands (`comfyfleet batch`): submit, show, list, wait, cancel, hold, release, results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from producer.cli.arguments import (
    ApiKeyOption,
    BatchNameArgument,
    DeliverOption,
    JsonOption,
    UrlsOption,
)
from producer.cli.command_group import group
from producer.cli.csv_dialect import open_rows
from producer.cli.open_fleet import opened, the_batch
from producer.cli.output import Exit, hint, print_json, print_json_line, print_line, print_row
from producer.contract.number_words import how_many

if TYPE_CHECKING:
    from producer.cli.row_files import RowFile
    from producer.client import Producer
    from producer.contract.batches import BadRow, Batch

app = group("Many jobs of one graph, as one.")

TimeoutOption = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Wait no longer; the batch goes on.")
]


@app.command()
def submit(
    graph: Annotated[
        str,
        typer.Argument(
            help="A graph in ComfyUI's API format, a picture with one in it, or template:NAME."
        ),
    ],
    rows: Annotated[
        str,
        typer.Argument(
            help="CSV with a header, or one JSON object a line; - for standard input. A column is "
            "an address as 6.text, input:34.image for a file, or metadata.NAME."
        ),
    ],
    *,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=ADDRESS", help="What a CSV column stands for."),
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="ADDRESS=VALUE", help="For all rows that do not set it."),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NODE.INPUT=FILE", help="For all rows without their own."),
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="NAME=TEXT", help="Kept with every job.")
    ] = None,
    owner: Annotated[str, typer.Option(help="For whom it is handed in.")] = "",
    hook: Annotated[str, typer.Option(help="The webhook that is told of its end.")] = "",
    deliver: DeliverOption = None,
    api_key_file: ApiKeyOption = None,
    pool: Annotated[str, typer.Option(help="Nodes fit for it.")] = "default",
    tier: Annotated[str, typer.Option(help="rush, default, batch or idle.")] = "batch",
    pin: Annotated[str | None, typer.Option(help="The one node that may run it.")] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Idempotency key: the same command again goes on, and doubles nothing."),
    ] = None,
    name: Annotated[str, typer.Option(help="For people.")] = "",
    start_within: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="What has not begun by then expires.")
    ] = None,
    run_within: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="A job that takes longer has failed.")
    ] = None,
    max_failed: Annotated[
        str | None,
        typer.Option(
            metavar="N|P%", help="Hold it once so many jobs have failed by their own fault."
        ),
    ] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave bad rows out, instead of refusing all.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until all have ended.")] = False,
    timeout: TimeoutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Submit a job for each row and print the batch's id; all rows are checked before any is accepted."""
    with opened(as_json=as_json) as fleet, open_rows(rows) as lines:
        from producer.cli.batch_progress import counting
        from producer.cli.options import (
            as_deliver,
            as_duration,
            as_inputs,
            as_pairs,
            as_params,
            as_secrets,
            read_source,
        )
        from producer.cli.row_files import RowFile

        content, found = read_source(graph, fleet, owner=owner)
        file = RowFile(
            lines,
            graph=found,
            columns=as_pairs(columns or (), option="--map"),
        )
        with counting() as progress, file.speaking():
            batch = fleet.submit_many(
                content,
                file.rows(),
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
                name=name,
                start_within=as_duration(start_within, option="--start-within"),
                run_within=as_duration(run_within, option="--run-within"),
                max_failed=max_failed,
                skip_invalid=skip_invalid,
                on_skipped=_teller(file, as_json=as_json),
                on_progress=progress,
            )
        if wait:
            hint(f"batch {batch.id}")
            _wait(fleet, batch.id, timeout, as_json=as_json)
        elif as_json:
            print_json(batch)
        else:
            print_line(batch.id)
            hint(f"{_accepted(batch)}; watch them: comfyfleet batch wait {batch.id}")


@app.command()
def show(batch: BatchNameArgument, *, as_json: JsonOption = False) -> None:
    """Show a batch: its state, and its jobs by status."""
    with opened(as_json=as_json) as fleet:
        from producer.cli.batch_view import tell_batch

        tell_batch(fleet.batch(the_batch(fleet, batch)), as_json=as_json)


@app.command("list")
def list_batches(
    *,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List batches, the newest first."""
    with opened(as_json=as_json) as fleet:
        from producer.cli.batch_view import state_of

        for batch in fleet.batches(limit):
            if as_json:
                print_json(batch)
            else:
                done = f"{batch.counts.ended}/{batch.rows - batch.skipped}"
                print_row(batch.id, state_of(batch), done, batch.name)


@app.command()
def wait(
    batch: BatchNameArgument, *, timeout: TimeoutOption = None, as_json: JsonOption = False
) -> None:
    """Wait until all jobs of a batch have ended; status 1 if not all have succeeded."""
    with opened(as_json=as_json) as fleet:
        _wait(fleet, the_batch(fleet, batch), timeout, as_json=as_json)


@app.command()
def cancel(batch: BatchNameArgument, *, as_json: JsonOption = False) -> None:
    """Cancel all jobs of a batch; running ones are interrupted at their nodes."""
    with opened(as_json=as_json) as fleet:
        id_ = the_batch(fleet, batch)
        _answer(id_, fleet.cancel_batch(id_), as_json=as_json)


@app.command()
def hold(batch: BatchNameArgument, *, as_json: JsonOption = False) -> None:
    """Hold all jobs of a batch that do not run yet."""
    with opened(as_json=as_json) as fleet:
        id_ = the_batch(fleet, batch)
        fleet.hold_batch(id_)
        _answer(id_, "held", as_json=as_json)


@app.command()
def release(batch: BatchNameArgument, *, as_json: JsonOption = False) -> None:
    """Release a held batch."""
    with opened(as_json=as_json) as fleet:
        id_ = the_batch(fleet, batch)
        fleet.release_batch(id_)
        _answer(id_, "released", as_json=as_json)


@app.command()
def results(
    batch: BatchNameArgument,
    *,
    statuses: Annotated[
        list[str] | None, typer.Option("--status", help="Only jobs of this status.")
    ] = None,
    urls: UrlsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print the result of each row: row, job, status, then its artifacts or why it has none."""
    with opened(as_json=as_json) as fleet:
        from producer.cli.batch_view import tell_result

        id_ = the_batch(fleet, batch)
        if as_json and not urls:
            for text in fleet.batch_result_lines(id_, statuses=statuses or ()):
                print_json_line(text)
            return
        for line in fleet.batch_results(id_, statuses=statuses or ()):
            if urls:
                _sign(fleet, line)
            if as_json:
                print_json(line)
            else:
                tell_result(line)


def _teller(file: RowFile, *, as_json: bool) -> Callable[[BadRow], None]:
    def tell(row: BadRow) -> None:
        row = file.in_its_words(row)
        if as_json:
            print_json({"skipped": {name: value for name, value in asdict(row).items() if value}})
        else:
            hint(f"left out: {row.sentence}")

    return tell


def _wait(fleet: Producer, batch: str, timeout: float | None, *, as_json: bool) -> None:
    from producer.cli.batch_progress import watching
    from producer.cli.batch_view import tell_batch
    from producer.cli.options import as_duration

    with watching() as show:
        limit = as_duration(timeout, option="--timeout")
        found = fleet.wait_batch(batch, timeout=limit, on_poll=show)
    tell_batch(found, as_json=as_json)
    if found.counts.succeeded < found.counts.ended:
        raise typer.Exit(Exit.JOBS_FAILED)


def _accepted(batch: Batch) -> str:
    jobs = batch.rows - batch.skipped
    return how_many(jobs, "job") + (
        f", {how_many(batch.skipped, 'row')} left out" if batch.skipped else ""
    )


def _answer(batch: str, outcome: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"batch": batch, "outcome": outcome})
    else:
        print_line(f"{batch} {outcome}")


def _sign(fleet: Producer, line: dict[str, Any]) -> None:
    from producer.contract.jobs import Artifact

    for artifact in line["artifacts"]:
        artifact["url"] = fleet.url(Artifact.model_validate(artifact), expires=timedelta(hours=1))
