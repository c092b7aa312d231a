"""Node table: prints the fleet's nodes, or one of them and its times, for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from producer.cli.escaping_console import OUT
from producer.cli.output import size
from producer.contract.nodes import Node, NodeState, NodeTimes

_COLOURS: Final = {
    NodeState.READY: "green",
    NodeState.OFFLINE: "red",
    NodeState.UNREACHABLE: "red",
}


def _companion(node: Node) -> str:
    """Return what a reader should know of the node's companion: that it lacks, or gained much."""
    if node.companion is False:
        return "no companion"
    return f"companion gained {node.companion_gained_s} s" if node.companion_gained_s else ""


def _why(node: Node) -> list[str]:
    """Return why it is in its state, and what a person wants of it, if that is not the same."""
    reason = node.reason or node.pace
    return [reason, *(f"wanted {wish}" for wish in node.wishes if wish not in reason)]


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
            "; ".join(filter(None, (*_why(node), _companion(node)))),
            f"{node.device}{vram}{free}",
            ", ".join(node.warm),
            node.comfyui_version,
            f"{node.silent_s:.0f} s ago",
        )
    OUT.print(table)


def show_node(node: Node, times: NodeTimes) -> None:
    """Print a node, how long each of its models takes to load, and each class to run."""
    show_nodes([node])
    wishes = (node.quarantine, node.desired, node.pool_desired)
    for wish in (wish for wish in wishes if wish is not None):
        whose = f"pool {node.pool} " if wish is node.pool_desired else ""
        OUT.print(Text(f"wanted since {wish.since:%Y-%m-%d %H:%M} UTC: {whose}{wish.told}"))
    if node.restart:
        OUT.print(Text(f"last restart {node.restart}"))
    if node.probe:
        OUT.print(Text(f"last probe {node.probe}"))
    for title, rows in (
        (
            "load",
            [(model, by, s) for model, found in times.loads.items() for by, s in found.items()],
        ),
        ("a step", [(class_type, "", s) for class_type, s in times.steps.items()]),
    ):
        if not rows:
            continue
        table = Table(box=None, padding=(0, 2, 0, 0))
        for column in (title, "by" if title == "load" else "", "seconds"):
            table.add_column(column, justify="right" if column == "seconds" else "left")
        for name, by, seconds in rows:
            table.add_row(name, by, f"{seconds:.2f}")
        OUT.print(table)
