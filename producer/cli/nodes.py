"""Nodes commands (`comfyfleet node`): list, show, check, rescan, drain, pause, resume, install-companion."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from producer.cli.arguments import JsonOption
from producer.cli.command_group import group
from producer.cli.open_fleet import opened
from producer.cli.output import Exit, hint, print_json, print_line, print_row
from producer.cli.who import whoever
from producer.contract.errors import InvalidJob

if TYPE_CHECKING:
    from producer.contract.nodes import Node

app = group("The fleet's nodes.")


def _time(text: str) -> datetime:
    """Read a time; one without a zone is this machine's."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text[:80]!r} is no time; expected one as 2026-11-28T18:30+01:00"
        ) from None


NamesArgument = Annotated[list[str], typer.Argument(metavar="NAME...", help="The nodes' names.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for whoever looks at the node.")]
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


@app.command("list")
def list_nodes(*, as_json: JsonOption = False) -> None:
    """List every node that sent a beat within the last week."""
    with opened(as_json=as_json) as fleet:
        nodes = fleet.nodes()
        if as_json:
            for node in nodes:
                print_json(node)
            return
        if not nodes:
            hint("no node yet; start one: comfyfleet worker --comfyui URL --name NAME")
            return
        from producer.cli.node_table import show_nodes

        show_nodes(nodes)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The node's name.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Show a node, and how long its models take to load and its classes to run, as far as it was seen."""
    with opened(as_json=as_json) as fleet:
        times = fleet.node_times(name)
        node = next(node for node in fleet.nodes() if node.name == name)
        if as_json:
            print_json({**node.model_dump(mode="json"), **times.model_dump(mode="json")})
            return
        from producer.cli.node_table import show_node

        show_node(node, times)


@app.command("check")
def check(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", envvar="COMFYFLEET_NODE_NAME", help="The nodes' names."),
    ],
    *,
    ready: Annotated[
        bool, typer.Option("--ready", help="It must take jobs, too: its ComfyUI answers.")
    ] = False,
) -> None:
    """Check that nodes have a living worker; status 1 if one has none.

    For the health check of a container or a monitor. Without --ready, a worker whose ComfyUI is
    away counts as well.
    """
    with opened(as_json=False) as fleet:
        from producer.contract.nodes import NodeState

        known = {node.name: node for node in fleet.nodes()}
        failed = False
        for name in names:
            node = known.get(name)
            state, reason = (node.state, node.reason) if node else ("unknown to this fleet", "")
            print_row(name, state, reason)
            is_well = node is not None and node.is_living
            failed |= not is_well or (ready and state is not NodeState.READY)
        if failed:
            raise typer.Exit(Exit.JOBS_FAILED)


@app.command("rescan")
def rescan(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The nodes' names.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Have nodes read their models and classes again, after files were added."""
    with opened(as_json=as_json) as fleet:
        for name in names:
            fleet.rescan(name)
            hint(f"{name} looks anew; a busy one does so within seconds")


@app.command("drain")
def drain(
    names: NamesArgument,
    *,
    reason: ReasonOption = "",
    until: UntilOption = None,
    last_of: LastOfOption = "",
    as_json: JsonOption = False,
) -> None:
    """Have nodes finish what they hold, take nothing more, and stay paused: restarts and upgrades change nothing of it.

    Where no ready node of a pool would be left, the pool's name is asked for.
    """
    _want("drain_nodes", names, reason=reason, until=until, last_of=last_of, as_json=as_json)


@app.command("pause")
def pause(
    names: NamesArgument,
    *,
    reason: ReasonOption = "",
    until: UntilOption = None,
    last_of: LastOfOption = "",
    as_json: JsonOption = False,
) -> None:
    """Have nodes take nothing more. What renders ends; what waits behind it goes to other nodes.

    Where no ready node of a pool would be left, the pool's name is asked for.
    """
    _want("pause_nodes", names, reason=reason, until=until, last_of=last_of, as_json=as_json)


@app.command("resume")
def resume(names: NamesArgument, *, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Have nodes take work again that were drained or paused."""
    with opened(as_json=as_json) as fleet:
        _show(fleet.resume_nodes(names, reason=reason, **whoever()), as_json=as_json)


def _want(verb: str, names: list[str], *, as_json: bool, last_of: str, **options: Any) -> None:
    with opened(as_json=as_json) as fleet:
        call = partial(getattr(fleet, verb), names, **options, **whoever())
        try:
            nodes = call(last_of=last_of)
        except InvalidJob as exc:
            if exc.field != "last_of" or as_json or not sys.stdin.isatty():
                raise
            nodes = call(last_of=typer.prompt(f"{exc.message}; the pool's name to go on"))
        _show(nodes, as_json=as_json)


def _show(nodes: list[Node], *, as_json: bool) -> None:
    for node in nodes:
        if as_json:
            print_json(node)
        else:
            print_row(node.name, node.desired.state if node.desired else "takes work")


@app.command("install-companion")
def install(
    comfyui_dir: Annotated[
        Path, typer.Argument(help="Where ComfyUI is: the folder that holds custom_nodes.")
    ],
) -> None:
    """Copy the companion node into a ComfyUI on this machine, which loads it at its next start.

    It encodes pictures beside the next render, reads the next model ahead, keeps Python's garbage
    collector from pausing renders, deletes files that were delivered, and reports when ComfyUI
    executes nothing any more. Workers need no companion. Where workers of this machine tell what
    it gained so far, that is printed, too.
    """
    from producer.cli.companion import NoComfyUI, gains_here, install_companion

    try:
        target = install_companion(comfyui_dir)
    except NoComfyUI as exc:
        raise typer.BadParameter(str(exc)) from exc
    print_line(f"{target} is there; restart ComfyUI to load it")
    for line in gains_here():
        hint(line)
