"""Commands for many jobs at once (`comfyfleet action`): cancel, hold, release and retry by a filter; list, show."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from producer.cli.arguments import JsonOption
from producer.cli.command_group import group
from producer.cli.filter_words import filter_of
from producer.cli.job_list import TAKES_TERMS
from producer.cli.moves import TermsArgument, YesOption
from producer.cli.open_fleet import opened
from producer.cli.output import Exit, complain, hint, print_json, print_line, print_row
from producer.contract.errors import FleetError

if TYPE_CHECKING:
    from producer.client import Producer
    from producer.contract.outcomes import ActionRecord

app = group("Do one thing with all jobs that a filter means. Workers carry it out.")

_OPTIONS: Final = ("--yes", "--reason", "--wait", "--json", "--help")

ActionArgument = Annotated[str, typer.Argument(metavar="ACTION", help="Its id.")]
ReasonOption = Annotated[str, typer.Option(help="Why, for the log of actions.")]
WaitOption = Annotated[
    float | None,
    typer.Option("--wait", metavar="SECONDS", help="Wait for its end, so long at most."),
]


def _add(verb: str, what: str) -> None:
    @app.command(verb, help=what, context_settings=TAKES_TERMS)
    def begin(
        filter_: TermsArgument,
        *,
        yes: YesOption = False,
        reason: ReasonOption = "",
        wait: WaitOption = None,
        as_json: JsonOption = False,
    ) -> None:
        with opened(as_json=as_json) as fleet:
            wanted = filter_of(filter_, options=_OPTIONS)
            if not yes:
                _tell_count(fleet, verb, wanted, as_json=as_json)
                return
            record = fleet.begin_action(verb, wanted, reason=reason)
            if wait is not None:
                record = fleet.wait_action(record.id, timeout=timedelta(seconds=max(0.0, wait)))
            _tell(record, as_json=as_json)


_add("cancel", "Cancel the jobs that a filter means and that have not ended.")
_add("hold", "Hold the jobs that a filter means and that wait for a node.")
_add("release", "Release the held jobs that a filter means.")
_add("retry", "Make the jobs that a filter means and that did not succeed again, each once.")


@app.command()
def show(action: ActionArgument, *, as_json: JsonOption = False) -> None:
    """Show how far an action is, and with which jobs it could not be done."""
    with opened(as_json=as_json) as fleet:
        _tell(fleet.action(action), as_json=as_json)


@app.command()
def stop(action: ActionArgument, *, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Stop an action that has not ended; what it has done stays done, and is counted."""
    with opened(as_json=as_json) as fleet:
        _tell(fleet.cancel_action(action, reason=reason), as_json=as_json)


@app.command("list")
def list_actions(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the last actions, the newest first."""
    with opened(as_json=as_json) as fleet:
        found = fleet.actions(limit)
        if as_json:
            for record in found:
                print_json(record)
        elif found:
            print_row("action", "what", "state", "matched", "done", "refused", "who", "filter")
            for record in found:
                figures = (record.matched, record.done, record.refused)
                print_row(
                    *(record.id, record.action, record.state, *map(str, figures)),
                    *(record.actor, record.filter),
                )
        else:
            hint("no action was asked for lately")


def log(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many.")] = 50,
    before: Annotated[
        str | None, typer.Option(metavar="ID", help="Those before an entry, by its id in --json.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show who has done what to many jobs, batches, nodes, keys, the newest first."""
    with opened(as_json=as_json) as fleet:
        found = fleet.action_log(limit, before=before)
        for entry in found:
            if as_json:
                print_json(entry)
            else:
                at = f"{entry.at:%Y-%m-%d %H:%M:%S}Z"
                told = f"{entry.selection or 'all'} ({entry.count:,})"
                told += f", and {entry.more:,} times more before" if entry.more else ""
                print_row(
                    at, entry.actor, entry.origin, entry.what, told, entry.detail, entry.reason
                )
        if not (found or as_json):
            hint("nobody has done anything of the kind lately")


def _tell_count(fleet: Producer, verb: str, wanted: str, *, as_json: bool) -> None:
    counted = fleet.act(verb, wanted, dry_run=True)
    if counted.matched or counted.cursor:
        more = " or more" if counted.cursor else ""
        jobs = f"{counted.matched:,} job{'' if counted.matched == 1 else 's'}{more}"
        complain(FleetError(f"this would {verb} {jobs}", advice="add --yes"), as_json=as_json)
        raise typer.Exit(Exit.USAGE)
    if as_json:
        print_json({"matched": 0})
    else:
        hint(f"there is no job to {verb}")


def _tell(record: ActionRecord, *, as_json: bool) -> None:
    if as_json:
        print_json(record)
        return
    counted = f"{record.counted:,}{'' if record.counted_all else ' or more'}"
    print_line(f"{record.id} {record.action} {record.state}")
    print_line(f"counted {counted}, done {record.done:,}, refused {record.refused:,}")
    if record.error:
        print_line(record.error)
    for refusal in record.refusals:
        print_line(f"{refusal.job} {refusal.reason}")
    if record.has_ended:
        return
    if record.cancel_asked_at:
        hint(f"it stops once the jobs at hand are done: comfyfleet action show {record.id}")
    else:
        hint(f"workers carry it out: comfyfleet action show {record.id}")
