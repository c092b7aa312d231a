"""Processes that commands start in their place: worker, senders of webhooks, embedded stack (`up`), demo.

They are executed, never imported, so that neither a GPU node's nor a web backend's installation
needs the other's libraries.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Final, NoReturn

import typer

from producer.cli.output import Exit, complain
from producer.contract.config.addresses import without_password
from producer.contract.errors import FleetError
from producer.own_modules import started

#: All options, `--help` too, are passed on to the process that is started.
PASS_ON: Final = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


#: Options whose value may hold a password → the variable in which it is passed on instead: every
#: user of the machine can read a process's command line.
_HIDDEN: Final = {
    "worker": {"--comfyui": "COMFYFLEET_NODE_URL"},
    "producer.webhooks": {},
    "infra.local": {
        "--comfyui": "COMFYFLEET_UP_COMFYUI",
        "--redis-url": "COMFYFLEET_UP_REDIS_URL",
    },
    "producer.http": {},
}


def worker(context: typer.Context) -> None:
    """Serve one ComfyUI: --comfyui URL --name NAME [--pool P]."""
    _become("worker", *context.args)


def hooks(context: typer.Context) -> None:
    """Tell webhooks of what has ended; any number of these processes share the work."""
    _become("producer.webhooks", *context.args)


def api(context: typer.Context) -> None:
    """Serve the HTTP API: [--host ADDRESS] [--port N]."""
    _need("api", "fastapi", "uvicorn")
    _become("producer.http", *context.args)


def up(context: typer.Context) -> None:
    """Start a whole fleet on this machine: Redis, S3, nodes, workers."""
    _need("local", "aiohttp")
    _become("infra.local", "up", *context.args)


def demo(context: typer.Context) -> None:
    """Render 8 jobs over 2 nodes on a fleet of its own, check every artifact, and end."""
    _need("local", "aiohttp")
    _become("infra.local", "demo", *context.args)


def _need(extra: str, *modules: str) -> None:
    if any(find_spec(module) is None for module in modules):
        complain(
            FleetError(
                f"this needs the extra '{extra}'", advice=f"pip install 'comfyfleet[{extra}]'"
            ),
            as_json=False,
        )
        raise typer.Exit(Exit.USAGE)


def _become(module: str, *args: str) -> NoReturn:
    """Replace this process by *module* (execve), so that signals and exit status are that process's own."""
    sys.stdout.flush()
    shown, hidden = _split(args, _HIDDEN[module])
    environment = {**os.environ, **hidden}
    os.execve(sys.executable, started(module, *shown), environment)  # noqa: S606 - our own module


def _split(args: Iterable[str], hidden: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the arguments for the command line, and those with a password by environment variable."""
    shown: list[str] = []
    environment: dict[str, str] = {}
    left = iter(args)
    for argument in left:
        option, found, value = argument.partition("=")
        if option not in hidden:
            shown.append(argument)
            continue
        given = value if found else next(left, None)
        if given is None or given == without_password(given):
            shown += [argument] if found or given is None else [argument, given]
        else:
            environment[hidden[option]] = given
    return shown, environment
