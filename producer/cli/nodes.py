"""Nodes commands (`comfyfleet node`): list, show, check, rescan, install-companion; see `wishes` for drain and its like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from producer.cli.arguments import JsonOption
from producer.cli.command_group import group
from producer.cli.open_fleet import opened
from producer.cli.output import Exit, hint, print_json, print_line, print_row
from producer.cli.wishes import NamesArgument, add_of_nodes

app = group("The fleet's nodes.")


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
    names: NamesArgument,
    *,
    as_json: JsonOption = False,
) -> None:
    """Have nodes read their models and classes again, after files were added."""
    with opened(as_json=as_json) as fleet:
        for name in names:
            fleet.rescan(name)
            hint(f"{name} looks anew; a busy one does so within seconds")


add_of_nodes(app)


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
