"""Output of the command: data on stdout, messages on stderr, JSON with `--json`, and exit statuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import typer

from producer.contract.errors import (
    ActionFailed,
    ActionNotFound,
    BacklogFull,
    BatchNotFound,
    FleetError,
    FleetUnreachable,
    InvalidJob,
    InvalidRows,
    InvalidSettings,
    JobNotFound,
    JobNotSucceeded,
    KeyOfAnotherType,
    KeyReused,
    StorageError,
    TemplateChanged,
    TemplateNotFound,
    WaitTimeout,
    WebhookNotFound,
)
from producer.contract.text_cleaning import escaped

if TYPE_CHECKING:
    from pydantic import BaseModel


class Exit(IntEnum):
    """The exit statuses of the command."""

    GOOD = 0
    JOBS_FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    TIMED_OUT = 5
    INTERRUPTED = 130


_STATUS: Final[tuple[tuple[type[FleetError], Exit], ...]] = (
    (JobNotSucceeded, Exit.JOBS_FAILED),
    (InvalidSettings, Exit.USAGE),
    (FleetUnreachable, Exit.UNREACHABLE),
    (KeyOfAnotherType, Exit.UNREACHABLE),
    (StorageError, Exit.UNREACHABLE),
    (WaitTimeout, Exit.TIMED_OUT),
    (InvalidJob, Exit.REFUSED),
    (JobNotFound, Exit.REFUSED),
    (BatchNotFound, Exit.REFUSED),
    (WebhookNotFound, Exit.REFUSED),
    (TemplateNotFound, Exit.REFUSED),
    (TemplateChanged, Exit.REFUSED),
    (ActionNotFound, Exit.REFUSED),
    (ActionFailed, Exit.REFUSED),
    (BacklogFull, Exit.REFUSED),
    (KeyReused, Exit.REFUSED),
)


def exit_status(error: FleetError) -> Exit:
    """Return the exit status for *error*; `JOBS_FAILED` for kinds without one of their own."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), Exit.JOBS_FAILED)


@contextmanager
def answering(*, as_json: bool) -> Iterator[None]:
    """Print a `FleetError` or an interrupt as a message, and end the command with its exit status."""
    try:
        yield
    except FleetError as exc:
        complain(exc, as_json=as_json)
        raise typer.Exit(exit_status(exc)) from exc
    except KeyboardInterrupt:
        from producer.cli.escaping_console import ERR

        ERR.print("interrupted; nothing was cancelled")
        raise typer.Exit(Exit.INTERRUPTED) from None


def complain(error: FleetError, *, as_json: bool) -> None:
    """Print an error and its advice: on stderr, or with *as_json* as an object on stdout."""
    if as_json:
        shown = {
            "type": type(error).__name__,
            "message": error.message,
            "field": getattr(error, "field", None),
            "position": getattr(error, "position", None),
            "graph_node": getattr(error, "graph_node", None),
            "advice": error.advice,
            "rows": [asdict(row) for row in error.rows] if isinstance(error, InvalidRows) else None,
        }
        print_json({"error": {name: value for name, value in shown.items() if value}})
        return
    from rich.text import Text

    from producer.cli.escaping_console import ERR

    ERR.print(Text("error:", "bold red"), error.message)
    if error.advice:
        ERR.print(f"  try: {error.advice}")


def print_json(value: BaseModel | dict[str, Any]) -> None:
    """Print one JSON object as one line; fields of a model that are None are left out."""
    if isinstance(value, dict):
        text = json.dumps(value, separators=(",", ":"))
    else:
        text = value.model_dump_json(exclude_none=True)
    print_json_line(text)


def print_json_line(text: str) -> None:
    """Print an object that is JSON on one line already."""
    # json.dumps escapes only ASCII's control characters; terminals interpret some of Unicode's, too.
    print_line(text if text.isprintable() else "".join(map(_in_json, text)))


def print_line(text: str) -> None:
    """Print a line on stdout, with unprintable characters except tabs escaped."""
    sys.stdout.write(escaped(text, keep="\t") + "\n")
    sys.stdout.flush()


def print_row(*cells: object) -> None:
    """Print cells as one line, joined by tabs; white space inside a cell becomes one blank."""
    print_line("\t".join(" ".join(str(cell).split()) for cell in cells).rstrip())


def hint(text: str) -> None:
    """Print a message on stderr."""
    from rich.text import Text

    from producer.cli.escaping_console import ERR

    ERR.print(Text(text, "dim"))


def size(count: int) -> str:
    """Return a number of bytes for a person, as `1.5 MB` (powers of 1,000)."""
    number = float(count)
    for unit in ("B", "kB", "MB"):
        if number < 1000:  # noqa: PLR2004 - the step of the units
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def _in_json(char: str) -> str:
    return char if char.isprintable() else json.dumps(char)[1:-1]
