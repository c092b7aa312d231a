"""`comfyfleet owner`: what an owner has in the fleet, and has used of it."""

from __future__ import annotations

from typing import Annotated

import typer

from producer.cli.arguments import JsonOption
from producer.cli.open_fleet import opened
from producer.cli.output import print_json, print_row


def owner(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As jobs were handed in with.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Show how many jobs of an owner wait and run, and the seconds of cards that it has used."""
    with opened(as_json=as_json) as fleet:
        found = fleet.owner(name)
        if as_json:
            print_json(found)
        else:
            print_row("waiting", f"{found.waiting:,}")
            print_row("running", f"{found.running:,}")
            print_row("gpu seconds", f"{found.gpu_seconds:,.0f}")
