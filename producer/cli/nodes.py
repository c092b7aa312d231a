"""`comfyfleet node`: the fleet's nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from producer.cli.companion import NoComfyUI, install_companion
from producer.cli.jobs import JsonOption
from producer.cli.output import OUT, answering, hint, print_json, size
from producer.client import Producer
from producer.contract.nodes import NodeState
from producer.contract.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="The fleet's nodes.")

_COLOURS = {NodeState.READY: "green", NodeState.OFFLINE: "red", NodeState.UNREACHABLE: "red"}


@app.command("list")
def list_nodes(*, as_json: JsonOption = False) -> None:
    """Show every node the fleet has heard of in the last week."""
    with answering(as_json=as_json), Producer(load_settings()) as fleet:
        nodes = fleet.nodes()
        if as_json:
            for node in nodes:
                print_json(node)
            return
        if not nodes:
            hint("no node yet; start one: comfyfleet worker --comfyui URL --name NAME")
            return
        table = Table(box=None, padding=(0, 2, 0, 0))
        for column in ("node", "pool", "state", "why", "device", "warm", "ComfyUI", "heard"):
            table.add_column(column)
        for node in nodes:
            vram = f" {size(node.vram_total)}" if node.vram_total else ""
            free = f", {size(node.vram_free)} free" if node.vram_free is not None else ""
            table.add_row(
                node.name,
                node.pool,
                Text(node.state, _COLOURS.get(node.state, "yellow")),
                node.reason or node.pace,
                f"{node.device}{vram}{free}",
                ", ".join(node.warm),
                node.comfyui_version,
                f"{node.silent_s:.0f} s ago",
            )
        OUT.print(table)


@app.command("rescan")
def rescan(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The nodes' names.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Have nodes look anew at their models and classes, after files were put there."""
    with answering(as_json=as_json), Producer(load_settings()) as fleet:
        for name in names:
            fleet.rescan(name)
            hint(f"{name} looks anew; a busy one does so within seconds")


@app.command("install-companion")
def install(
    comfyui_dir: Annotated[
        Path, typer.Argument(help="Where ComfyUI is: the folder that holds custom_nodes.")
    ],
) -> None:
    """Copy the companion node into a ComfyUI on this machine; it works from its next start on.

    It keeps the garbage collector from pausing renders, deletes what was delivered, and tells at
    once when ComfyUI executes nothing any more. Workers do without where it is not.
    """
    try:
        target = install_companion(comfyui_dir)
    except NoComfyUI as exc:
        raise typer.BadParameter(str(exc)) from exc
    OUT.print(f"{target} is there; restart ComfyUI to load it")
