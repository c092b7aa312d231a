"""Pool commands (`comfyfleet pool`): list, drain, pause, resume."""

from __future__ import annotations

from producer.cli.arguments import JsonOption
from producer.cli.command_group import group
from producer.cli.open_fleet import opened
from producer.cli.output import hint, print_json, print_row
from producer.cli.wishes import add_of_pools

app = group("The fleet's pools: each a kind of nodes that jobs name.")


@app.command("list")
def list_pools(*, as_json: JsonOption = False) -> None:
    """List pools: how many nodes each has in each state, and what a person wants of them."""
    with opened(as_json=as_json) as fleet:
        pools = fleet.pools()
        if not pools and not as_json:
            hint("no pool yet: it comes with its first node")
        for pool in pools:
            if as_json:
                print_json(pool)
                continue
            states = ", ".join(f"{count} {state}" for state, count in sorted(pool.nodes.items()))
            print_row(pool.name, states or "no node", "; ".join(pool.wishes))


add_of_pools(app)
