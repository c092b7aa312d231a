"""Node table: prints the fleet's nodes for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from producer.cli.escaping_console import OUT
from producer.cli.output import size
from producer.contract.nodes import Node, NodeState

_COLOURS: Final = {
    NodeState.READY: "green",
    NodeState.OFFLINE: "red",
    NodeState.UNREACHABLE: "red",
}


def show_nodes(nodes: Sequence[Node]) -> None:
    """Print a row for each node: state and reason, device and VRAM, loaded models, version, last beat."""
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
