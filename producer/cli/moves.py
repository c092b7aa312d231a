"""`comfyfleet job move` and `comfyfleet batch move`: what waits goes to another tier or pool."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from producer.cli.arguments import BatchNameArgument, JsonOption
from producer.cli.filter_words import filter_of
from producer.cli.open_fleet import opened
from producer.cli.output import Exit, complain, hint, print_json, print_line
from producer.contract.errors import FleetError

if TYPE_CHECKING:
    from producer.client import Producer

_OPTIONS: Final = ("--tier", "--pool", "--yes", "--json", "--help")

TermsArgument = Annotated[
    list[str],
    typer.Argument(metavar="FILTER...", help="Which jobs; `comfyfleet job list --filters` tells."),
]
TierOption = Annotated[str | None, typer.Option(help="rush, default, batch or idle.")]
PoolOption = Annotated[str | None, typer.Option(help="Nodes that have what the jobs need.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do it; else they are only counted.")]


def move_jobs(
    filter_: TermsArgument,
    *,
    tier: TierOption = None,
    pool: PoolOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have the jobs that a filter means, as far as they wait, do so in another tier or pool."""

    def move(fleet: Producer) -> Callable[..., int]:
        return partial(fleet.move, filter_of(filter_, options=_OPTIONS))

    _move(move, tier=tier, pool=pool, yes=yes, as_json=as_json)


def move_batch(
    batch: BatchNameArgument,
    *,
    tier: TierOption = None,
    pool: PoolOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have all jobs of a batch that wait do so in another tier or pool."""
    _move(
        lambda fleet: partial(fleet.move_batch, batch),
        tier=tier,
        pool=pool,
        yes=yes,
        as_json=as_json,
    )


def _move(
    moving: Callable[[Producer], Callable[..., int]],
    *,
    tier: str | None,
    pool: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    with opened(as_json=as_json) as fleet:
        move = moving(fleet)
        count = move(tier=tier, pool=pool, dry_run=not yes)
    if not yes and count:
        would = FleetError(f"this would move {_counted(count)}", advice="add --yes")
        complain(would, as_json=as_json)
        raise typer.Exit(Exit.USAGE)
    if as_json:
        print_json({"moved": count})
    elif count:
        print_line(f"{_counted(count)} moved")
    else:
        hint("no job waits that would move")


def _counted(count: int) -> str:
    return f"{count:,} job{'' if count == 1 else 's'}"
