"""``python -m infra.local up|demo``: the embedded stack; `comfyfleet up` and `demo` start it so."""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from infra.local.exit_signals import exit_on_signals
from infra.local.state_dir import StateDirInUse
from producer.cli.command_group import group
from producer.contract.errors import FleetError

if TYPE_CHECKING:
    from infra.local.stack import LocalStack

_NOT_REACHABLE: Final = 3
_REFUSED: Final = 4

app = group("A whole fleet on this machine.", add_completion=False, pretty_exceptions_enable=False)


ComfyuiOption = Annotated[
    str,
    typer.Option(
        envvar="COMFYFLEET_UP_COMFYUI",
        help="Real ComfyUIs instead, as URL,URL,...",
        show_default=False,
    ),
]
RedisOption = Annotated[
    str | None,
    typer.Option(
        envvar="COMFYFLEET_UP_REDIS_URL", help="A Redis of yours instead of the embedded one."
    ),
]
S3Option = Annotated[
    str | None, typer.Option(help="An S3 store of yours instead of the embedded one.")
]
BucketOption = Annotated[str, typer.Option(envvar="COMFYFLEET_S3_BUCKET")]
NodesOption = Annotated[int, typer.Option(min=0, help="How many stand-in nodes.")]
EchoOption = Annotated[bool, typer.Option(help="Show what the services write, too.")]


@app.command()
def up(
    *,
    state: Annotated[Path, typer.Option(help="Where data and logs are kept.")] = Path(
        ".comfyfleet"
    ),
    nodes: NodesOption = 2,
    comfyui: ComfyuiOption = "",
    redis_url: RedisOption = None,
    s3_endpoint: S3Option = None,
    s3_bucket: BucketOption = "comfyfleet",
    pool: Annotated[str, typer.Option(help="The pool that the nodes are in.")] = "default",
    echo: EchoOption = False,
) -> None:
    """Start Redis, an S3 store, nodes and workers; stay until Ctrl-C, then stop them all."""
    from infra.local.stack import LocalStack, Options

    options = Options(
        state_dir=state,
        standin_nodes=nodes,
        standin_arguments=("--previews",),
        comfyui_urls=_urls(comfyui),
        redis_url=redis_url,
        s3_endpoint_url=s3_endpoint,
        s3_bucket=s3_bucket,
        pool=pool,
        hooks=True,
        api=True,
        echo=_echo if echo else None,
    )
    with LocalStack(options) as stack:
        _announce(stack, pool)
        stack.wait()


@app.command()
def demo(
    *,
    nodes: NodesOption = 2,
    comfyui: ComfyuiOption = "",
    redis_url: RedisOption = None,
    s3_endpoint: S3Option = None,
    s3_bucket: BucketOption = "comfyfleet",
    sheet: Annotated[
        Path, typer.Option(metavar="FILE", help="Where a contact sheet of the pictures is left.")
    ] = Path("comfyfleet-demo.png"),
    echo: EchoOption = False,
) -> None:
    """Render 8 jobs on a stack of its own, check every artifact, and leave one contact sheet.

    Stand-in nodes render the user's own sample; real ComfyUIs one that needs no model.
    """
    from infra.local.demo import run_demo
    from infra.local.stack import Options

    options = Options(
        standin_nodes=nodes,
        comfyui_urls=_urls(comfyui),
        redis_url=redis_url,
        s3_endpoint_url=s3_endpoint,
        s3_bucket=s3_bucket,
        api=True,
        echo=_echo if echo else None,
    )
    raise typer.Exit(0 if run_demo(options, sheet) else 1)


def _urls(comfyui: str) -> tuple[str, ...]:
    return tuple(url.strip() for url in comfyui.split(",") if url.strip())


def _announce(stack: LocalStack, pool: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from infra.local.first_picture import first_picture_command

    rows = {**stack.addresses, "logs": str(stack.logs_dir)}
    settings_file = shlex.quote(stack.settings_env["COMFYFLEET_CONFIG"])
    console = Console(soft_wrap=True)
    if console.is_terminal:
        table = Table.grid(padding=(0, 3))
        for what, where in rows.items():
            table.add_row(f"[bold]{what}[/bold]", where)
        console.print(table)
    else:
        for what, where in rows.items():
            print(f"{what}: {where}")  # noqa: T201
    lines = ["The stack is up."]
    if stack.nodes:
        config = {"COMFYFLEET_CONFIG": stack.settings_env["COMFYFLEET_CONFIG"]}
        first = first_picture_command(config, own_nodes=stack.has_own_nodes, pool=pool)
        lines += ["A first picture, by one command in another shell:", f"  {first}"]
    lines += [
        "Another shell knows the stack, and then needs `comfyfleet` alone, after:",
        f"  export COMFYFLEET_CONFIG={settings_file}",
        *_about_api(stack),
        "Ctrl-C stops it.",
    ]
    console.print("\n".join(lines), highlight=False, markup=False)


def _about_api(stack: LocalStack) -> list[str]:
    if not stack.api_key:
        return ["The HTTP API is not installed: pip install 'comfyfleet[api]'"]
    return [
        "The HTTP API, for who holds this key (it opens everything, for as long as the stack is up):",
        f"  export API={stack.api_url} KEY={stack.api_key}",
        '  curl -H "Authorization: Bearer $KEY" $API/v1/jobs',
    ]


def _echo(service: str, line: str) -> None:
    sys.stderr.write(f"{service:>12} | {line}\n")


def main() -> None:
    """Run the command; exit codes are those of `comfyfleet` (3 not reachable, 4 refused)."""
    logging.basicConfig(format="%(message)s")
    logging.getLogger("infra").setLevel(logging.INFO)
    try:
        with exit_on_signals():
            app(prog_name="comfyfleet")
    except FleetError as exc:
        sys.stderr.write(f"comfyfleet: {exc}\n")
        sys.exit(_REFUSED if isinstance(exc, StateDirInUse) else _NOT_REACHABLE)


if __name__ == "__main__":
    main()
