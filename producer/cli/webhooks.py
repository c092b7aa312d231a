"""`comfyfleet webhook`: who is told of ends, and what has come of it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from producer.cli.arguments import JsonOption
from producer.cli.command_group import group
from producer.cli.open_fleet import opened
from producer.cli.output import Exit, hint, print_json, print_row

if TYPE_CHECKING:
    from pydantic import SecretStr

    from producer.client import Producer
    from producer.contract.webhooks import Delivery, Webhook

app = group("Who is told of the ends of jobs and batches.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What jobs name as their hook.")]
OwnerOption = Annotated[str, typer.Option(help="Whose it is.")]

#: How long `test` waits for an answer, s.
_ANSWERS_WITHIN_S: Final = 25.0


@app.command()
def create(
    name: NameArgument,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where messages are posted to.")],
    *,
    owner: OwnerOption = "",
    event: Annotated[
        list[str] | None, typer.Option(help="As job.failed, job.started; all ends by default.")
    ] = None,
    body: Annotated[str, typer.Option(help="thin, or full with the whole record.")] = "thin",
    as_json: JsonOption = False,
) -> None:
    """Register a receiver, and print the secret by which it verifies messages, once."""
    with opened(as_json=as_json) as fleet:
        made = fleet.webhooks.create(name, url, owner=owner, events=event or (), body=body)  # type: ignore[arg-type]
        _show_secret(made.webhook.name, made.secret, as_json=as_json)


@app.command("list")
def list_webhooks(
    *,
    owner: Annotated[str | None, typer.Option(help="Those of one owner.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List webhooks, with where they are and what they are told."""
    with opened(as_json=as_json) as fleet:
        for webhook in fleet.webhooks.list(owner=owner):
            if as_json:
                print_json(webhook)
            else:
                print_row(*_cells(webhook))


@app.command()
def delete(name: NameArgument, *, owner: OwnerOption = "", as_json: JsonOption = False) -> None:
    """Forget a webhook, its secret, and what was to be told to it."""
    with opened(as_json=as_json) as fleet:
        fleet.webhooks.delete(name, owner=owner)
        _done(name, "deleted", as_json=as_json)


@app.command()
def enable(name: NameArgument, *, owner: OwnerOption = "", as_json: JsonOption = False) -> None:
    """Tell a webhook again that was disabled, and what has waited for it."""
    with opened(as_json=as_json) as fleet:
        fleet.webhooks.enable(name, owner=owner)
        _done(name, "enabled", as_json=as_json)


@app.command("test")
def send_test(name: NameArgument, *, owner: OwnerOption = "", as_json: JsonOption = False) -> None:
    """Send a test message, wait for the answer, and show it."""
    with opened(as_json=as_json) as fleet:
        sent = fleet.webhooks.test(name, owner=owner)
        found = _answered(fleet, sent)
        _show(found, as_json=as_json)
        if not found.tries:
            hint("nobody has sent it yet: does `comfyfleet hooks` run?")
        if found.state != "delivered":
            raise typer.Exit(Exit.JOBS_FAILED)


@app.command()
def rotate(
    name: NameArgument,
    *,
    owner: OwnerOption = "",
    keep: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long the old secret signs, too.")
    ] = 86_400,
    as_json: JsonOption = False,
) -> None:
    """Print a new secret, once; messages are signed with the old one, too, for a day."""
    with opened(as_json=as_json) as fleet:
        from producer.cli.options import as_duration

        secret = fleet.webhooks.rotate(
            name, owner=owner, keep=as_duration(keep, option="--keep") or timedelta(0)
        )
        _show_secret(name, secret, as_json=as_json)


@app.command()
def deliveries(
    name: NameArgument,
    *,
    owner: OwnerOption = "",
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="So many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List messages to a webhook: what waits, then what is settled, the newest first."""
    with opened(as_json=as_json) as fleet:
        for delivery in fleet.webhooks.deliveries(name, owner=owner, limit=limit):
            _show(delivery, as_json=as_json)


@app.command()
def redeliver(
    name: NameArgument,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id.")],
    *,
    owner: OwnerOption = "",
    as_json: JsonOption = False,
) -> None:
    """Send a message again, whatever came of it."""
    with opened(as_json=as_json) as fleet:
        _show(fleet.webhooks.redeliver(name, delivery, owner=owner), as_json=as_json)


def _show_secret(name: str, secret: SecretStr, *, as_json: bool) -> None:
    text = secret.get_secret_value()
    if as_json:
        print_json({"webhook": name, "secret": text})
    else:
        print_row(text)
        hint("the receiver needs it to verify messages; it is not shown again")


def _done(name: str, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"webhook": name, what: True})
    else:
        hint(f"{name} is {what}")


def _cells(webhook: Webhook) -> tuple[str, ...]:
    state = f"disabled: {webhook.disabled_why}" if webhook.disabled_at else "enabled"
    return (webhook.owner, webhook.name, webhook.url, ",".join(webhook.events), state)


def _show(delivery: Delivery, *, as_json: bool) -> None:
    if as_json:
        print_json(delivery)
        return
    last = delivery.tries[-1] if delivery.tries else None
    outcome = f"{last.status or last.error} in {last.latency_ms} ms" if last else "not tried yet"
    due = f"next try {delivery.due_at:%Y-%m-%d %H:%M:%S}Z" if delivery.due_at else ""
    print_row(delivery.id, delivery.event, delivery.state, outcome, last.said if last else "", due)


def _answered(fleet: Producer, sent: Delivery) -> Delivery:
    until = time.monotonic() + _ANSWERS_WITHIN_S
    while True:
        found = fleet.webhooks.delivery(sent.webhook, sent.id, owner=sent.owner)
        if found.tries or time.monotonic() > until:
            return found
        time.sleep(0.2)
