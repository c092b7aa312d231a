"""Wishes commands: what a person wants of nodes (`comfyfleet node`) and of pools (`comfyfleet pool`), with options in common."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from producer.cli.arguments import JsonOption
from producer.cli.open_fleet import opened
from producer.cli.output import print_json, print_row
from producer.contract.errors import InvalidJob

if TYPE_CHECKING:
    from producer.contract.nodes import Node, Pool


def _time(text: str) -> datetime:
    """Read a time; one without a zone is this machine's."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text[:80]!r} is no time; expected one as 2026-11-28T18:30+01:00"
        ) from None


NamesArgument = Annotated[list[str], typer.Argument(metavar="NAME...", help="Their names.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for whoever looks at it.")]
UntilOption = Annotated[
    datetime | None,
    typer.Option(
        "--until",
        parser=_time,
        metavar="TIME",
        help="When it ends by itself, as 2026-12-01T08:00, by this machine's clock.",
    ),
]
LastOfOption = Annotated[
    str,
    typer.Option(
        "--last-of", metavar="POOL", help="The pool that may be left without ready nodes."
    ),
]

_LAST: Final = "Where no ready node of a pool would be left, the pool's name is asked for."


def add_of_nodes(app: typer.Typer) -> None:
    """Add the commands by which nodes are taken out, and taken back."""
    _add_wish(
        app,
        "drain",
        "Have nodes finish what they hold, take nothing more, and stay paused: restarts and upgrades change nothing of it.",
    )
    _add_wish(
        app,
        "pause",
        "Have nodes take nothing more. What renders ends; what waits behind it goes to other nodes.",
    )
    _add_wish(
        app,
        "quarantine",
        "Set nodes aside that you doubt: as `pause`, until they are cleared. `--reason` is needed.",
    )
    _add_change(app, "resume", "nodes", "Have nodes take work again that were drained or paused.")
    _add_change(
        app,
        "clear",
        "nodes",
        "End all doubt about nodes: a quarantine, and what their workers hold against them.",
    )
    _add_change(
        app,
        "probe",
        "nodes",
        "Have nodes tried now, by the canary that is sent after a fault; `comfyfleet node show` tells what came of it.",
    )
    app.command("restart")(restart)


def restart(
    names: NamesArgument,
    *,
    now: Annotated[
        bool,
        typer.Option(
            "--now", help="Do not wait for the jobs that they hold; these are made again."
        ),
    ] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Have the ComfyUIs of nodes restarted by their workers' restart commands, once they hold no job; `comfyfleet node show` tells what came of it."""
    with opened(as_json=as_json) as fleet:
        _show(fleet.restart_nodes(names, now=now, reason=reason), as_json=as_json)


def add_of_pools(app: typer.Typer) -> None:
    """Add the commands by which all nodes of a pool are taken out, and taken back."""
    _add_pool_wish(
        app,
        "drain",
        "Have each node of some pools finish what it holds and take nothing more, those that join later, too.",
    )
    _add_pool_wish(
        app, "pause", "Have each node of some pools take nothing more, those that join later, too."
    )
    _add_change(
        app,
        "resume",
        "pools",
        "Have pools take work again; a node that was itself drained, paused or quarantined stays so.",
    )


def _add_wish(app: typer.Typer, verb: str, what: str) -> None:
    @app.command(verb, help=f"{what}\n\n{_LAST}")
    def wish(
        names: NamesArgument,
        *,
        reason: ReasonOption = "",
        until: UntilOption = None,
        last_of: LastOfOption = "",
        as_json: JsonOption = False,
    ) -> None:
        with opened(as_json=as_json) as fleet:
            call = partial(getattr(fleet, f"{verb}_nodes"), names, reason=reason, until=until)
            _show(_confirmed(call, last_of, may_ask=not as_json), as_json=as_json)


def _add_pool_wish(app: typer.Typer, verb: str, what: str) -> None:
    @app.command(verb, help=what)
    def wish(
        names: NamesArgument,
        *,
        reason: ReasonOption = "",
        until: UntilOption = None,
        as_json: JsonOption = False,
    ) -> None:
        with opened(as_json=as_json) as fleet:
            call = getattr(fleet, f"{verb}_pools")
            _show(call(names, reason=reason, until=until), as_json=as_json)


def _add_change(app: typer.Typer, verb: str, of: str, what: str) -> None:
    @app.command(verb, help=what)
    def change(
        names: NamesArgument, *, reason: ReasonOption = "", as_json: JsonOption = False
    ) -> None:
        with opened(as_json=as_json) as fleet:
            call = getattr(fleet, f"{verb}_{of}")
            _show(call(names, reason=reason), as_json=as_json)


def _confirmed(call: partial[Any], last_of: str, *, may_ask: bool) -> Any:
    """Have it done; where that needs a pool's name, and somebody is there, ask for it."""
    try:
        return call(last_of=last_of)
    except InvalidJob as exc:
        if exc.field != "last_of" or not may_ask or not sys.stdin.isatty():
            raise
        return call(last_of=typer.prompt(f"{exc.message}; the pool's name to go on"))


def _show(found: Sequence[Node] | Sequence[Pool], *, as_json: bool) -> None:
    for one in found:
        if as_json:
            print_json(one)
        else:
            print_row(one.name, "; ".join(one.wishes) or "takes work")
