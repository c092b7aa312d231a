"""Command line of the senders: `python -m producer.webhooks`, which `comfyfleet hooks` starts."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, Final

import typer

from producer.contract.errors import FleetError, FleetUnreachable, InvalidSettings

_UNREACHABLE: Final = 3
_USAGE: Final = 2

# Plain help: to draw frames, typer loads a reader of Markdown, 0.3 s.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    *, log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info"
) -> None:
    """Tell webhooks of what has ended; any number of these processes share the work.

    Runs until Ctrl-C or SIGTERM: then it finishes what it sends, within 20 s.
    """
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("celery", "kombu"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        raise typer.Exit(_serve())
    except FleetError as exc:
        sys.stderr.write(f"comfyfleet hooks: {exc}\n")
        status = {FleetUnreachable: _UNREACHABLE, InvalidSettings: _USAGE}.get(type(exc), 1)
        raise typer.Exit(status) from exc


def _serve() -> int:
    # Imported late: `--help` needs none of it.
    from producer.contract.config.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    # Celery reads its transport options when the app is first used, so settings are loaded first.
    from producer.webhooks.messages import check_signing  # noqa: PLC0415
    from producer.webhooks.tasks import serve  # noqa: PLC0415

    check_signing()
    return serve(settings)


if __name__ == "__main__":
    app(prog_name="comfyfleet hooks")
