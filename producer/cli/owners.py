"""Owner commands (`comfyfleet owner`): show, list, limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from producer.cli.arguments import JsonOption
from producer.cli.command_group import group
from producer.cli.open_fleet import opened
from producer.cli.output import Exit, hint, print_json, print_row

if TYPE_CHECKING:
    from producer.contract.owners import OwnerUsage

app = group("Whose jobs they are: what each owner has, has used, and may have waiting.")

_COLUMNS: Final = ("waiting", "limit", "running", "gpu seconds")

OwnerArgument = Annotated[str, typer.Argument(metavar="NAME", help="As jobs were handed in with.")]


@app.command()
def show(name: OwnerArgument, *, as_json: JsonOption = False) -> None:
    """Show how many jobs of an owner wait, may wait and run, and the seconds of cards that it has used."""
    with opened(as_json=as_json) as fleet:
        _tell(fleet.owner(name), as_json=as_json)


@app.command("list")
def list_owners(*, as_json: JsonOption = False) -> None:
    """List owners: what each has waiting, its limit, what runs, and the seconds of cards that it has used."""
    with opened(as_json=as_json) as fleet:
        found = fleet.owners()
        if as_json:
            for one in found:
                print_json(one)
        elif found:
            print_row("owner", *_COLUMNS)
            for one in found:
                print_row(one.owner, *_counts(one))
            _tell_torn(found)
        else:
            hint("no job was handed in with an owner")


@app.command()
def limit(
    name: OwnerArgument,
    *,
    max_waiting: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Jobs and rows that may wait, held ones included."),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Take the limit away.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Set how many jobs of an owner may wait; what waits already stays. Submissions beyond it are refused."""
    if none == (max_waiting is not None):
        hint("say either --max-waiting N or --none")
        raise typer.Exit(Exit.USAGE)
    with opened(as_json=as_json) as fleet:
        _tell(fleet.limit_owner(name, max_waiting=max_waiting), as_json=as_json)


def _tell(found: OwnerUsage, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for name, value in zip(_COLUMNS, _counts(found), strict=True):
        print_row(name, value)
    _tell_torn([found])


def _counts(found: OwnerUsage) -> tuple[str, str, str, str]:
    def count(name: str) -> str:
        return "?" if name in found.torn else f"{getattr(found, name):,.0f}"

    return count("waiting"), _limit(found), count("running"), count("gpu_seconds")


def _tell_torn(found: Sequence[OwnerUsage]) -> None:
    if any(one.torn for one in found):
        hint("? is no number in Redis: comfyfleet check --repair counts it anew")


def _limit(found: OwnerUsage) -> str:
    return "none" if found.max_waiting is None else f"{found.max_waiting:,}"
