"""Command line of the worker: `python -m worker`, which `comfyfleet worker` starts."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, Any, Final

import typer

from producer.contract.errors import (
    FleetError,
    FleetUnreachable,
    InvalidSettings,
    NodeNameTaken,
    StorageError,
)

_UNREACHABLE: Final = 3
_USAGE: Final = 2
#: Exit status after which a supervisor must not restart the worker.
_NAME_TAKEN: Final = 79


# Plain help: to draw frames, typer loads a reader of Markdown, 0.3 s.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def main(
    *,
    comfyui: Annotated[
        str,
        typer.Option(
            envvar="COMFYFLEET_NODE_URL",
            show_envvar=True,
            help="Where its ComfyUI listens, as http://127.0.0.1:8188.",
        ),
    ],
    name: Annotated[
        str,
        typer.Option(
            envvar="COMFYFLEET_NODE_NAME",
            show_envvar=True,
            help="The node's name; keep it across restarts.",
        ),
    ],
    pool: Annotated[
        str,
        typer.Option(
            envvar="COMFYFLEET_NODE_POOL", show_envvar=True, help="The pool the node belongs to."
        ),
    ] = "default",
    handover: Annotated[
        bool,
        typer.Option(
            "--handover", help="When stopped, hand a running job over: the node leaves too."
        ),
    ] = False,
    restart_command: Annotated[
        str | None, typer.Option(help="Restarts this ComfyUI; run when it hangs.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Serve one ComfyUI: take jobs, have it render them, store what it made.

    Runs until Ctrl-C or SIGTERM: then it takes nothing more, finishes what it stores, and leaves
    a running prompt to the worker that comes after it. A second signal ends it at once.
    """
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # The worker logs each job itself; urllib3's lines show tokens that are sent in a query.
    for chatty in ("celery", "botocore", "kombu", "urllib3", "websocket"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        status = _serve(
            name=name,
            pool=pool,
            comfyui_url=comfyui,
            handover=handover,
            restart_command=restart_command,
        )
    except FleetError as exc:
        sys.stderr.write(f"comfyfleet worker: {exc}\n")
        raise typer.Exit(_status(exc)) from exc
    raise typer.Exit(status)


def _serve(*, name: str, pool: str, **more: Any) -> int:
    # Imported late: `--help` needs none of it.
    from producer.contract.config.settings import check_name, load_settings  # noqa: PLC0415

    check_name(name, field="--name")
    check_name(pool, field="--pool")
    settings = load_settings()
    # Celery reads its transport options when the app is first used, so settings are loaded first.
    from worker.assembly import Options  # noqa: PLC0415
    from worker.tasks import CeleryWorker  # noqa: PLC0415

    return CeleryWorker(Options(name=name, pool=pool, **more), settings).serve()


def _status(error: FleetError) -> int:
    match error:
        case NodeNameTaken():
            return _NAME_TAKEN
        case FleetUnreachable() | StorageError():
            return _UNREACHABLE
        case InvalidSettings():
            return _USAGE
        case _:
            return 1


if __name__ == "__main__":
    app(prog_name="comfyfleet worker")
