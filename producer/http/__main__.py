"""`python -m producer.http`: one process of the API; `comfyfleet api` starts it so."""

from __future__ import annotations

import gc
import logging
import sys
from typing import Annotated, Final

import typer

from producer.aio import AsyncProducer
from producer.contract.config.allowed_origins import AllowedOrigins
from producer.contract.config.settings import load_settings
from producer.contract.errors import FleetError, InvalidSettings
from producer.http.app import create_app
from producer.http.cross_origin import with_cross_origin
from producer.http.server import Server, config_of
from producer.intake.input_policy import InputPolicy

_USAGE: Final = 2
#: New objects after which Python looks for those that refer to each other. Its own 700 are a page of ten jobs.
_OBJECTS: Final = 20_000


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="The address it listens at.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="0: any that is free.")
    ] = None,
    access_log: Annotated[bool, typer.Option(help="Write a line a request.")] = False,
) -> None:
    """Serve the HTTP API until it is told to end."""
    named = {"api_host": host, "api_port": port}
    given = {name: value for name, value in named.items() if value is not None}
    settings = load_settings(**given)
    # Never a path of this machine, nor any bucket: those who ask are strangers.
    buckets = [name.strip() for name in settings.api_input_buckets.split(",") if name.strip()]
    if settings.s3_bucket in buckets:
        raise InvalidSettings(
            f"COMFYFLEET_API_INPUT_BUCKETS names the fleet's own bucket {settings.s3_bucket}: any key could read "
            "everybody's artifacts there (name a bucket of its own for inputs)"
        )
    policy = InputPolicy.forms_only(buckets=buckets)
    fleet = AsyncProducer.from_env(input_policy=policy, **given)
    app = create_app(fleet, settings)
    served = with_cross_origin(app, AllowedOrigins.parse(settings.api_allowed_origins))
    config = config_of(
        served, host=settings.api_host, port=settings.api_port, access_log=access_log
    )
    server = Server(config, app.state.streams)
    # What is there by now stays, and what a request makes dies with it, so there is little to be found.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS)
    server.run()
    if not server.started:
        raise SystemExit(1)


def main() -> None:
    """Run the command; exit status 2 for settings that make no sense."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(serve)
    try:
        app(prog_name="comfyfleet api")
    except FleetError as exc:
        sys.stderr.write(f"comfyfleet: {exc}\n")
        sys.exit(_USAGE)


if __name__ == "__main__":
    main()
