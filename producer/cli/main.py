"""Main command `comfyfleet`: adds all commands and groups, `--version`, and the exit statuses."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from producer.cli import (
    actions,
    batch,
    checking,
    dead_letters,
    job_list,
    jobs,
    keys,
    moves,
    nodes,
    owners,
    pools,
    processes,
    queue,
    templates,
    webhooks,
)
from producer.cli.command_group import group
from producer.cli.standard_streams import FULL, give_up_stdout, make_writable
from producer.cli.submit import submit

app = group(
    "One queue in front of many ComfyUI machines.",
    pretty_exceptions_enable=False,
    epilog="Exit status: 0 good, 1 some jobs failed, 2 usage, 3 fleet not reachable, "
    "4 refused, 5 timed out, 130 interrupted.",
)
app.command()(submit)
app.command()(queue.queue)
app.command()(actions.log)
app.add_typer(jobs.app, name="job")
app.add_typer(batch.app, name="batch")
app.add_typer(actions.app, name="action")
app.add_typer(owners.app, name="owner")
app.add_typer(nodes.app, name="node")
app.add_typer(pools.app, name="pool")
app.add_typer(dead_letters.app, name="dead")
app.add_typer(keys.app, name="key")
app.add_typer(webhooks.app, name="webhook")
app.add_typer(templates.app, name="template")
app.command()(checking.check)
app.command()(checking.verify)
jobs.app.command("list", context_settings=job_list.TAKES_TERMS)(job_list.list_jobs)
jobs.app.command("move", context_settings=job_list.TAKES_TERMS)(moves.move_jobs)
batch.app.command("move")(moves.move_batch)
jobs.app.command()(dead_letters.retry)
batch.app.command("rows", context_settings=job_list.TAKES_TERMS)(job_list.list_rows)
for command in (processes.worker, processes.api, processes.hooks, processes.up, processes.demo):
    app.command(context_settings=processes.PASS_ON)(command)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the form of typer's callbacks
    if wanted:
        from importlib.metadata import version

        typer.echo(f"comfyfleet {version('comfyfleet')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it and end."),
    ] = False,
) -> None:
    """Read the options before the command."""


def main() -> None:
    """Run the command."""
    make_writable()
    try:
        app()
    except OSError as exc:
        if exc.errno not in FULL:
            raise
        give_up_stdout()
        sys.stderr.write(f"error: the output cannot be written: {exc.strerror}\n")
        sys.exit(1)
