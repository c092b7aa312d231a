"""`comfyfleet key`: makes, lists and revokes access keys of the HTTP API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from producer.cli.arguments import JsonOption
from producer.cli.command_group import group
from producer.cli.open_fleet import opened
from producer.cli.output import hint, print_json, print_line, print_row
from producer.contract.errors import InvalidJob

if TYPE_CHECKING:
    from producer.contract.access import AccessKey

app = group("Access keys of the HTTP API.")

_HOURS_A_DAY = 24.0


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="By which people know it.")],
    *,
    owner: Annotated[str, typer.Option(help="Whose jobs it hands in and sees.")],
    scope: Annotated[
        str, typer.Option(help="What it allows: some of submit, read, operate, admin, with commas.")
    ] = "submit,read",
    expires_days: Annotated[
        float | None, typer.Option(help="It opens nothing after so many days.")
    ] = None,
    rate: Annotated[
        str | None, typer.Option(metavar="N/s", help="Requests a second, at most.")
    ] = None,
    max_waiting: Annotated[
        int | None, typer.Option(help="Jobs of its owner that may wait, at most.")
    ] = None,
    top_tier: Annotated[
        str | None, typer.Option(help="The most urgent tier that it may ask for.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an access key and print it, this once: only its hash is kept."""
    with opened(as_json=as_json) as fleet:
        from producer.cli.options import as_duration

        days = None if expires_days is None else expires_days * _HOURS_A_DAY * 3600
        made = fleet.keys.create(
            name,
            owner=owner,
            scopes=[word.strip() for word in scope.split(",") if word.strip()],
            expires_in=as_duration(days, option="--expires-days"),
            rate=_rate(rate),
            max_waiting=max_waiting,
            top_tier=top_tier,
        )
        if as_json:
            print_json({"key": made.secret, **made.key.model_dump(mode="json", exclude_none=True)})
        else:
            print_line(made.secret)
            hint("this is shown once; send it as: Authorization: Bearer cfk_...")


@app.command("list")
def list_keys(*, as_json: JsonOption = False) -> None:
    """List access keys: name, owner, scopes, bounds, and when they expire."""
    with opened(as_json=as_json) as fleet:
        for key in fleet.keys.list():
            if as_json:
                print_json(key)
            else:
                print_row(key.name, key.owner, ",".join(sorted(key.scopes)), key.id, *_bounds(key))


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `key list` shows it.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Have an access key open nothing from now on."""
    with opened(as_json=as_json) as fleet:
        if not fleet.keys.revoke(name):
            raise InvalidJob(
                f"there is no key {name!r}", field="name", advice="comfyfleet key list shows them"
            )
        if as_json:
            print_json({"revoked": name})
        else:
            hint(f"key {name} opens nothing any more")


def _rate(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text.strip().removesuffix("/s"))
    except ValueError:
        raise InvalidJob(
            f"--rate {text!r} is no rate; expected requests a second, as 5/s", field="--rate"
        ) from None


def _bounds(key: AccessKey) -> list[str]:
    told = []
    if key.rate is not None:
        told.append(f"{key.rate:g}/s")
    if key.max_waiting is not None:
        told.append(f"{key.max_waiting:,} waiting")
    if key.top_tier is not None:
        told.append(f"up to {key.top_tier}")
    if key.expires_at is not None:
        word = "expired" if key.expires_at <= datetime.now(UTC) else "expires"
        told.append(f"{word} {key.expires_at:%Y-%m-%d %H:%M}")
    return told
