"""`comfyfleet node`: the fleet's nodes."""

from __future__ import annotations

import typer
from rich.markup import escape
from rich.table import Table

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
        for column in ("node", "pool", "state", "why", "device", "ComfyUI", "heard"):
            table.add_column(column)
        for node in nodes:
            vram = f" {size(node.vram_total)}" if node.vram_total else ""
            table.add_row(
                node.name,
                node.pool,
                f"[{_COLOURS.get(node.state, 'yellow')}]{node.state}[/]",
                escape(node.reason),
                f"{escape(node.device)}{vram}",
                node.comfyui_version,
                f"{node.silent_s:.0f} s ago",
            )
        OUT.print(table)
